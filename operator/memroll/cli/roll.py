"""Command `memroll roll`: create a PodRoll by hand, and wait for its end on request."""

from __future__ import annotations

import asyncio
import secrets
import sys
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import click
import yaml

from memroll.api import API_VERSION
from memroll.api.decode import decode_valid
from memroll.api.pod_roll import Phase, PodRoll, PodRollSpec
from memroll.api.roll_spec import Strategy
from memroll.cli import connection, errors
from memroll.cli.command import ClusterOptions, DurationSeconds, cluster_options
from memroll.cli.command import command as define
from memroll.cli.completions import complete_pods
from memroll.errors import NotFoundError, TerminalError
from memroll.planning.pod_roll_manifest import MAX_POD_NAME_CHARS, MAX_REASON_CHARS

if TYPE_CHECKING:
    from memroll.clients.kube.cluster import KubeCluster
    from memroll.model.pods import Pod

POLL_S = 1.0
"""Period in seconds in which a roll is read while its end is awaited; chosen by hand."""
SUFFIX_BYTES = 4
"""Number of random bytes in the name of a PodRoll by hand; chosen by hand."""


@dataclass(frozen=True, slots=True)
class RollRequest:
    """Pod to roll, and how."""

    namespace: str
    pod: str
    reason: str
    strategy: Strategy
    dry_run: bool
    wait_s: float | None
    """Time in seconds in which the end of the roll is awaited; None: it is not."""


@define(
    "roll",
    examples=[
        "roll chat-7d4b9c5f6-x7k2p -n ai --reason 'incident 42' --wait",
        "roll chat-7d4b9c5f6-x7k2p --dry-run > podroll.yaml",
    ],
)
@click.argument("pod", shell_complete=complete_pods)
@click.option("-n", "--namespace", metavar="NAME", help="namespace (default: that of the kubeconfig's context)")
@click.option("--reason", metavar="TEXT", default="rolled by hand", help="reason in the record of the roll")
@click.option(
    "--strategy", type=click.Choice([s.value for s in Strategy]), default="Auto", help="strategy (default: Auto)"
)
@click.option("--dry-run", is_flag=True, help="print the PodRoll, and create nothing")
@click.option("--wait", is_flag=True, help="wait for the end of the roll, and show its phases")
@click.option("--timeout", type=DurationSeconds(), metavar="15m", default="15m", help="with --wait (default: 15m)")
@cluster_options
def command(pod: str, namespace: str | None, cluster: ClusterOptions, **given: Any) -> int:
    """Roll a pod now: its workload gets a replacement before the pod leaves, if that is possible.

    The command creates a PodRoll with your rights; the operator carries it out within the bounds of the administrator.
    Neither the mode nor the budgets of a policy apply to it.
    """
    if len(given["reason"]) > MAX_REASON_CHARS:
        raise errors.InvalidArgumentError(f"--reason must have at most {MAX_REASON_CHARS} characters")
    request = RollRequest(
        namespace or connection.default_namespace(cluster),
        pod,
        given["reason"],
        Strategy(given["strategy"]),
        given["dry_run"],
        given["timeout"] if given["wait"] else None,
    )
    return asyncio.run(_roll(request, cluster))


async def _roll(request: RollRequest, options: ClusterOptions) -> int:
    async with connection.open_cluster(options) as cluster:
        pod = await _find_pod(request, cluster)
        await _require_no_roll(request, cluster)
        manifest = build_manifest(request, pod)
        if request.dry_run:
            click.echo(yaml.safe_dump(manifest, sort_keys=False), nl=False)
            return errors.DONE
        await cluster.create_roll(request.namespace, manifest)
        name = manifest["metadata"]["name"]
        click.echo(f"podroll.memroll.dev/{name} created")
        return errors.DONE if request.wait_s is None else await _wait(request, name, request.wait_s, cluster)


async def _find_pod(request: RollRequest, cluster: KubeCluster) -> Pod:
    pod = await cluster.get_pod(request.namespace, request.pod)
    if pod is None:
        names = [p.key.name for p in await cluster.list_pods(request.namespace, "")]
        similar = ", ".join(get_close_matches(request.pod, names, 3))
        hint = f". Did you mean {similar}?" if similar else ": check the name and -n"
        raise NotFoundError("NotFound", f"there is no pod {request.pod} in namespace {request.namespace}{hint}")
    if pod.deleting or pod.has_ended:
        raise errors.InvalidArgumentError(f"pod {request.pod} has ended, or is being deleted: there is nothing to roll")
    if pod.controller is None:
        raise errors.InvalidArgumentError(f"pod {request.pod} has no controller: nothing would replace it")
    return pod


async def _require_no_roll(request: RollRequest, cluster: KubeCluster) -> None:
    rolls = decode_valid(await cluster.list_rolls(request.namespace), PodRoll.read)
    active = next((r for r in rolls if r.active and r.spec.pod_name == request.pod), None)
    if active is not None:
        phase = active.status.phase or Phase.ANNOUNCED
        message = f"PodRoll {active.name} of this pod is in progress ({phase}): 'memroll cancel {active.name}' ends it"
        raise TerminalError("RollInProgress", message)


def build_manifest(request: RollRequest, pod: Pod) -> dict[str, Any]:
    """Build the PodRoll; without a policy, so that it counts as one by hand."""
    prefix = pod.key.name[:MAX_POD_NAME_CHARS].rstrip("-.")
    spec = PodRollSpec(
        pod_name=pod.key.name, pod_uid=pod.key.uid, strategy=request.strategy, reason=request.reason
    ).to_dict()
    kept = ("podName", "podUID", "reason", *(() if request.strategy is Strategy.AUTO else ("strategy",)))
    return {
        "apiVersion": API_VERSION,
        "kind": "PodRoll",
        "metadata": {"name": f"{prefix}-{secrets.token_hex(SUFFIX_BYTES)}", "namespace": request.namespace},
        "spec": {name: spec[name] for name in kept},
    }


async def _wait(request: RollRequest, name: str, timeout_s: float, cluster: KubeCluster) -> int:
    """Show each phase of the roll; return whether it succeeded."""
    shown = ""
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                raw = await cluster.get_roll(request.namespace, name)
                if raw is None:
                    raise NotFoundError("NotFound", f"PodRoll {name} was deleted meanwhile")
                roll = PodRoll.read(raw)
                line = f"{roll.status.phase or Phase.ANNOUNCED}: {roll.status.message}".rstrip(": ")
                if line != shown:
                    print(line, file=sys.stderr)
                    shown = line
                if not roll.active:
                    return errors.DONE if roll.status.phase is Phase.SUCCEEDED else errors.FAILED
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        message = f"PodRoll {name} has not ended in time: follow it with 'memroll events {name}', or cancel it"
        raise TerminalError("Timeout", message) from None
