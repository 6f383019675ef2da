"""Suspension of policies, for the commands `memroll suspend` and `memroll resume`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from memroll.api import POLICY_PLURAL
from memroll.cli import connection
from memroll.cli.command import ClusterOptions, MemrollCommand, cluster_options
from memroll.cli.command import command as define
from memroll.cli.completions import complete_policies
from memroll.cli.errors import InvalidArgumentError
from memroll.clients.kube.json_access import get_bool, get_str
from memroll.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Sequence


def suspension_command(name: str, text: str, *, suspended: bool) -> MemrollCommand:
    """Return the command of this name, with this text as its help, which suspends or resumes policies."""

    @define(name, examples=[f"{name} chat -n ai", f"{name} --all -n ai"], help=text)
    @click.argument("policies", metavar="POLICY...", nargs=-1, shell_complete=complete_policies)
    @click.option("-n", "--namespace", metavar="NAME", help="namespace (default: that of the kubeconfig's context)")
    @click.option("--all", "of_all", is_flag=True, help="all policies of the namespace")
    @cluster_options
    def command(policies: tuple[str, ...], namespace: str | None, cluster: ClusterOptions, *, of_all: bool) -> None:
        scope = namespace or connection.default_namespace(cluster)
        asyncio.run(set_suspended(policies, scope, cluster, suspended=suspended, of_all=of_all))

    return command


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
