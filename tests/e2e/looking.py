"""What a person would look at after a failure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from memroll_demo.site import Site

RELEASE = "memroll-e2e"
"""Also the namespace of the operator."""


def show(cluster: Site, namespace: str, operator: str) -> None:
    """Print what a person would look at after a failure."""
    for arguments in (
        ("get", "mempol,podrolls,pods,deployments,events", "-n", namespace, "-o", "wide"),
        ("get", "podrolls", "-n", namespace, "-o", "yaml"),
        ("logs", "-n", operator, f"deployment/{RELEASE}", "--tail=60"),
    ):
        try:
            print(cluster.kubectl(*arguments))
        except AssertionError as error:
            print(error)
