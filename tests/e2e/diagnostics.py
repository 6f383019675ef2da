"""Diagnostics that a failed test prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from memroll_demo.cluster import DemoCluster

RELEASE = "memroll-e2e"
"""Helm release of the shared operator, and its namespace."""


def print_diagnostics(cluster: DemoCluster, namespace: str, operator: str) -> None:
    """Print objects, PodRolls, and the operator's log."""
    for arguments in (
        ("get", "mempol,podrolls,pods,deployments,events", "-n", namespace, "-o", "wide"),
        ("get", "podrolls", "-n", namespace, "-o", "yaml"),
        ("logs", "-n", operator, f"deployment/{RELEASE}", "--tail=60"),
    ):
        try:
            print(cluster.kubectl(*arguments))
        except AssertionError as error:
            print(error)
