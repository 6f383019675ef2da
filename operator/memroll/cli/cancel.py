"""Command `memroll cancel`: cancel rolls in progress."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from memroll.api import ROLL_PLURAL
from memroll.api.decode import decode_valid
from memroll.api.pod_roll import PodRoll
from memroll.cli import connection
from memroll.cli.command import ClusterOptions, cluster_options
from memroll.cli.command import command as define
from memroll.cli.completions import complete_rolls
from memroll.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Sequence


@define("cancel", examples=["cancel chat-7d4b9c5f6-x7k2p-3871cc1c -n ai", "cancel chat-7d4b9c5f6-x7k2p"])
@click.argument("names", metavar="ROLL | POD...", nargs=-1, required=True, shell_complete=complete_rolls)
@click.option("-n", "--namespace", metavar="NAME", help="namespace (default: that of the kubeconfig's context)")
@cluster_options
def command(names: tuple[str, ...], namespace: str | None, cluster: ClusterOptions) -> None:
    """Cancel rolls, by their name or that of their pod: the operator restores the pods.

    A roll whose pod is already evicted can't be canceled.
    """
    asyncio.run(_cancel(names, namespace or connection.default_namespace(cluster), cluster))


async def _cancel(names: Sequence[str], namespace: str, options: ClusterOptions) -> None:
    async with connection.open_cluster(options) as cluster:
        rolls = list(decode_valid(await cluster.list_rolls(namespace), PodRoll.read))
        for roll in [find_roll(name, rolls, namespace) for name in names]:
            if not roll.active:
                click.echo(f"podroll.memroll.dev/{roll.name} has ended ({roll.status.phase}): nothing to cancel")
            elif roll.spec.cancel:
                click.echo(f"podroll.memroll.dev/{roll.name} is being canceled already")
            else:
                await cluster.patch_spec(ROLL_PLURAL, namespace, roll.name, {"cancel": True})
                click.echo(f"podroll.memroll.dev/{roll.name} canceled: the operator restores its pod")


def find_roll(name: str, rolls: Sequence[PodRoll], namespace: str) -> PodRoll:
    """Return the roll of this name, or the one of the pod of this name: that in progress, else the newest."""
    named = [r for r in rolls if r.name == name]
    of_pod = sorted((r for r in rolls if r.spec.pod_name == name), key=lambda r: (r.active, r.created_at))
    found = (named or of_pod[-1:])[:1]
    if not found:
        active = ", ".join(r.name for r in rolls if r.active)
        hint = f"in progress: {active}" if active else "none is in progress"
        missing = f"there is no PodRoll {name}, and none of a pod of this name, in namespace {namespace}"
        raise NotFoundError("NotFound", f"{missing}; {hint}")
    return found[0]
