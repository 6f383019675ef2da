"""Suspension of policies, for the commands `memroll suspend` and `memroll resume`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from memroll.api import POLICY_PLURAL
from memroll.cli import connection
from memroll.cli.errors import InvalidArgumentError
from memroll.clients.kube.json_access import get_bool, get_str
from memroll.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memroll.cli.command import ClusterOptions


async def set_suspended(
    names: Sequence[str], namespace: str, options: ClusterOptions, *, suspended: bool, of_all: bool
) -> None:
    """Suspend or resume policies; all of the namespace with `of_all`. Those that are already are left alone."""
    if bool(names) == of_all:
        raise InvalidArgumentError("either names of policies or --all is needed, and not both")
    async with connection.open_cluster(options) as cluster:
        policies = {get_str(raw, "metadata", "name"): raw for raw in await cluster.list_policies((namespace,))}
        missing = ", ".join(name for name in names if name not in policies)
        if missing:
            there = ", ".join(policies) or "none"
            raise NotFoundError(
                "NotFound", f"there is no policy {missing} in namespace {namespace}; there are: {there}"
            )
        for name in names or policies:
            is_changed = get_bool(policies[name], "spec", "suspend") is not suspended
            if is_changed:
                await cluster.patch_spec(POLICY_PLURAL, namespace, name, {"suspend": suspended})
            word = "suspended" if suspended else "resumed"
            click.echo(f"memorypolicy.memroll.dev/{name} {word if is_changed else f'unchanged: is {word} already'}")
