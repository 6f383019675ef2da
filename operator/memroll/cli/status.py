"""Command `memroll status`: the policies of a namespace as a tree, by what the operator has written."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from memroll.api import GROUP
from memroll.api.decode import decode_valid
from memroll.api.pod_roll import PodRoll
from memroll.api.policy import MemoryPolicy
from memroll.cli import connection, errors
from memroll.cli.command import ClusterOptions, cluster_options, namespace_options, output_option
from memroll.cli.command import command as define
from memroll.cli.completions import complete_policies
from memroll.cli.output import LIST_FORMATS, verdict_cell, write_document, write_names, write_text
from memroll.cli.watching import repeat
from memroll.errors import TerminalError
from memroll.inspection.status_tree import PolicyNode, build_tree
from memroll.model.pod_names import workload_or_pod
from memroll.rendering import Marked, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from memroll.clients.kube.cluster import KubeCluster
    from memroll.inspection.status_tree import PodNode, WorkloadNode
    from memroll.rendering import Row

    Tree = tuple[PolicyNode, ...]

HEADER: Row = ("NAME", "VERDICT", "USAGE", "GROWTH", "TIME-TO-LIMIT", "STATE")
NO_POLICIES = "no policy here: see 'memroll check' for whether memroll runs, and README.md for a first policy"


@define(
    "status",
    examples=["status", "status -A", "status chat -n ai -o wide", "status -l team=search -w", "status -A -o json"],
)
@click.argument("policies", metavar="[POLICY]...", nargs=-1, shell_complete=complete_policies)
@namespace_options
@click.option("-l", "--selector", metavar="LABELS", default="", help="label selector of the policies")
@click.option("-w", "--watch", is_flag=True, help="show the state again whenever it changes")
@click.option("--exit-code", is_flag=True, help="exit with 3 if a pod is at risk, with 4 if a policy is not Ready")
@output_option(*LIST_FORMATS)
@cluster_options
def command(
    policies: tuple[str, ...],
    namespace: str | None,
    selector: str,
    output: str,
    cluster: ClusterOptions,
    **flags: bool,
) -> int:
    """Show policies, their workloads and the pods closest to their limit, with what blocks a roll."""
    scope = connection.default_namespace(cluster) if namespace is None else namespace
    tree = asyncio.run(_status(cluster, Shown(scope, selector, policies, output, flags["watch"])))
    if not flags["exit_code"]:
        return errors.DONE
    if any(node.is_at_risk for node in tree):
        return errors.FOUND
    return errors.DONE if all(node.is_ready for node in tree) else errors.NO_DATA


@dataclass(frozen=True, slots=True)
class Shown:
    """Policies to show, and how."""

    namespace: str
    selector: str
    names: tuple[str, ...]
    output: str
    watch: bool


async def _status(options: ClusterOptions, shown: Shown) -> Tree:
    async with connection.open_cluster(options) as cluster:
        return await repeat(lambda: _read(cluster, shown), lambda tree: _show(tree, shown.output), watch=shown.watch)


async def _read(cluster: KubeCluster, shown: Shown) -> Tree:
    found = tuple(decode_valid(await cluster.list_policies((shown.namespace,), shown.selector), MemoryPolicy.read))
    missing = ", ".join(sorted(set(shown.names) - {p.name for p in found}))
    if missing:
        scope = f" in namespace {shown.namespace}" if shown.namespace else ""
        raise errors.InvalidArgumentError(f"there is no policy {missing}{scope}: see 'memroll status'")
    chosen = tuple(p for p in found if not shown.names or p.name in shown.names)
    namespaces = sorted({p.namespace for p in chosen})
    rolls = [r for n in namespaces for r in decode_valid(await cluster.list_rolls(n), PodRoll.read)]
    return build_tree(chosen, rolls, await _workloads(cluster, namespaces))


async def _workloads(cluster: KubeCluster, namespaces: Sequence[str]) -> dict[tuple[str, str], str]:
    """Return the workload of each pod; none without the permission to list pods."""
    try:
        pods = [p for n in namespaces for p in await cluster.list_pods(n, "")]
    except TerminalError:
        return {}
    return {(p.key.namespace, p.key.name): workload_or_pod(p) for p in pods}


def _show(tree: Tree, output: str) -> None:
    if output == "name":
        write_names(f"memorypolicy.{GROUP}/{node.policy.name}" for node in tree)
    elif output in ("json", "yaml"):
        write_document([to_document(node) for node in tree], output)
    elif not tree:
        click.echo(NO_POLICIES, err=True)
    else:
        is_wide = output == "wide"
        rows = [row for node in tree for row in _policy_rows(node, is_wide=is_wide)]
        write_text([(*HEADER, "MESSAGE") if is_wide else HEADER, *rows])


def _policy_rows(node: PolicyNode, *, is_wide: bool) -> Iterator[Row]:
    severity = Severity.GOOD if node.is_ready else Severity.BAD
    name = f"{node.policy.namespace}/{node.policy.name}"
    yield name, node.mode, "", "", node.policy.status.time_to_limit, Marked(node.message, severity)
    for warning in node.warnings:
        yield "", "", "", "", "", Marked(f"{warning.type}: {warning.message}", Severity.WARNING)
    for number, workload in enumerate(node.workloads, 1):
        is_last = number == len(node.workloads)
        yield (f"{'└─' if is_last else '├─'} {workload.name}", "", "", "", "", "")
        yield from _pod_rows(workload, "   " if is_last else "│  ", is_wide=is_wide)


def _pod_rows(workload: WorkloadNode, indent: str, *, is_wide: bool) -> Iterator[Row]:
    for number, pod in enumerate(workload.pods, 1):
        branch = "└─" if number == len(workload.pods) else "├─"
        found = pod.found
        name = f"{indent}{branch} {found.pod}/{found.container}"
        row = name, verdict_cell(found.verdict), pod.usage, pod.growth, pod.time_to_limit, _state(pod)
        yield (*row, found.message) if is_wide else row


def _state(pod: PodNode) -> str:
    is_notable = pod.roll is not None or pod.found.blocked_by is not None
    return Marked(pod.state, Severity.WARNING if is_notable else Severity.QUIET)


def to_document(node: PolicyNode) -> dict[str, Any]:
    """Return a policy with its workloads as a document. Its fields are part of the interface of the command."""
    policy = node.policy
    return {
        "namespace": policy.namespace,
        "policy": policy.name,
        "mode": policy.spec.mode.value,
        "suspended": policy.spec.suspend,
        "ready": node.is_ready,
        "message": node.message,
        "warnings": [{"type": c.type.value, "reason": c.reason, "message": c.message} for c in node.warnings],
        "pods": policy.status.pods.to_dict(),
        "rolls": policy.status.rolls.to_dict(),
        "timeToLimit": policy.status.time_to_limit,
        "workloads": [
            {"name": w.name, "containers": [p.found.to_dict() | _roll_document(p) for p in w.pods]}
            for w in node.workloads
        ],
    }


def _roll_document(pod: PodNode) -> dict[str, Any]:
    return {} if pod.roll is None else {"podRoll": pod.roll.name, "phase": pod.roll.status.phase or "Announced"}
