"""Command `memroll resume`: resume suspended policies."""

from __future__ import annotations

import asyncio

import click

from memroll.cli import connection
from memroll.cli.command import ClusterOptions, cluster_options
from memroll.cli.command import command as define
from memroll.cli.completions import complete_policies
from memroll.cli.suspension import set_suspended


@define("resume", examples=["resume chat -n ai", "resume --all -n ai"])
@click.argument("policies", metavar="POLICY...", nargs=-1, shell_complete=complete_policies)
@click.option("-n", "--namespace", metavar="NAME", help="namespace (default: that of the kubeconfig's context)")
@click.option("--all", "of_all", is_flag=True, help="all policies of the namespace")
@cluster_options
def command(policies: tuple[str, ...], namespace: str | None, cluster: ClusterOptions, *, of_all: bool) -> None:
    """Resume suspended policies; the operator reconciles them at once."""
    scope = namespace or connection.default_namespace(cluster)
    asyncio.run(set_suspended(policies, scope, cluster, suspended=False, of_all=of_all))
