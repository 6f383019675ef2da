"""Command `memroll explain`: the verdict of a pod with all checks, all gates, and what happens next."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from memroll import clock
from memroll.api.base import rfc3339
from memroll.api.quantity import humanize_duration
from memroll.cli import connection, errors, prometheus_options
from memroll.cli.command import ClusterOptions, cluster_options, output_option
from memroll.cli.command import command as define
from memroll.cli.completions import complete_pods
from memroll.cli.output import PLAIN_FORMATS, verdict_cell, without_empty, write_document, write_text
from memroll.cli.prometheus_options import OperatorOptions, operator_options
from memroll.clients.prometheus import promql
from memroll.detection.assessment import describe_growth
from memroll.inspection.operator_view import read_namespace
from memroll.inspection.pod_explanation import PodExplanation, explain_pod
from memroll.inspection.read_only import ReadOnlyCluster
from memroll.rendering import Marked, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memroll.detection.assessment import Assessment
    from memroll.detection.explain import ContainerExplanation, WindowExplanation
    from memroll.rendering import Row

CHECK_HEADER: Row = ("WINDOW", "CHECK", "RESULT", "OBSERVED", "REQUIRED", "STATISTIC")
GATE_HEADER: Row = ("GATE", "RESULT", "OBSERVED", "REQUIRED", "MESSAGE")


@define(
    "explain",
    examples=[
        "explain chat-7d4b9c5f6-x7k2p -n ai --prometheus http://localhost:9090",
        "explain chat-7d4b9c5f6-x7k2p -n ai -o wide",
        "explain chat-7d4b9c5f6-x7k2p -o json",
    ],
)
@click.argument("pod", shell_complete=complete_pods)
@click.option("-n", "--namespace", metavar="NAME", help="namespace (default: that of the kubeconfig's context)")
@click.option("--exit-code", is_flag=True, help="exit with 3 if the pod is at risk, with 4 if it can't be assessed")
@output_option(*PLAIN_FORMATS)
@operator_options
@cluster_options
def command(
    pod: str, namespace: str | None, output: str, operator: OperatorOptions, cluster: ClusterOptions, *, exit_code: bool
) -> int:
    """Explain a pod: each check and each gate with the observed and the required value, and what happens next."""
    found = asyncio.run(_explain(pod, namespace or connection.default_namespace(cluster), operator, cluster))
    if output in ("json", "yaml"):
        write_document(to_document(found), output)
    else:
        write_text(*_text(found, is_wide=output == "wide"))
    return _exit_code(found) if exit_code else errors.DONE


async def _explain(pod: str, namespace: str, operator: OperatorOptions, options: ClusterOptions) -> PodExplanation:
    async with connection.open_cluster(options) as writable:
        cluster = ReadOnlyCluster(writable)
        view = await read_namespace(cluster, namespace, operator.settings, clock.now())
        with prometheus_options.open_prometheus(operator, {p.spec.prometheus for p in view.policies}) as prometheus:
            return await explain_pod(view, namespace, pod, cluster, prometheus)


def _exit_code(found: PodExplanation) -> int:
    if any(a.verdict.is_at_risk for a in found.assessments):
        return errors.FOUND
    return errors.NO_DATA if all(a.verdict.is_inconclusive for a in found.assessments) else errors.DONE


def _text(found: PodExplanation, *, is_wide: bool) -> Iterator[str | list[Row]]:
    key, spec = found.pod.key, found.policy.spec
    yield f"Pod {key.namespace}/{key.name} of {found.workload}, policy {found.policy.name} (mode: {spec.mode})"
    explained = {c.container: c for c in found.containers}
    for assessment in found.assessments:
        yield ""
        yield from _container_text(assessment, explained.get(assessment.container.name), is_wide=is_wide)
    if found.gates:
        yield ""
        yield [GATE_HEADER, *_gate_rows(found)]
    yield ""
    yield f"Next: {found.next_step}"
    yield f"Queries of its samples{'' if is_wide else ' (all: -o wide)'}:"
    yield from (f"  {query}" for query in (found.queries if is_wide else _memory_queries(found)))


def _memory_queries(found: PodExplanation) -> Iterator[str]:
    """Yield the first query of each of the two memory series."""
    for metric in (promql.RSS, promql.WORKING_SET):
        yield from [query for query in found.queries if metric in query][:1]


def _container_text(
    assessment: Assessment, explained: ContainerExplanation | None, *, is_wide: bool
) -> Iterator[str | list[Row]]:
    verdict = assessment.verdict
    title = f"Container {assessment.container.name}: {verdict.verdict} ({verdict.reason}): {assessment.message}"
    yield Marked(title, verdict_cell(verdict.verdict).severity)  # type: ignore[attr-defined] # a marked text
    if verdict.usage_bytes is not None:
        yield f"  {describe_growth(assessment)}"
    if explained is None:
        return
    if explained.urgency is not None:
        due = explained.urgency
        state = "due: it reaches its limit within the lead time" if due.due else f"not due: {due.reason}: {due.message}"
        yield f"  {state}"
    shown = (_window_rows(w, is_whole=is_wide or w is explained.windows[0]) for w in explained.windows if w.checks)
    yield [CHECK_HEADER, *(row for rows in shown for row in rows)]
    for window in explained.windows:
        if window.insufficient_data:
            yield f"  window of {humanize_duration(window.window_s)} not checked: {window.insufficient_data}"


def _window_rows(window: WindowExplanation, *, is_whole: bool) -> Iterator[Row]:
    """Yield all checks of a window, or only the failed ones."""
    checks = [check for check in window.checks if is_whole or not check.passed]
    title = humanize_duration(window.window_s)
    if not checks:
        yield title, f"all {len(window.checks)}", _result(passed=True), "", "", ""
    for number, check in enumerate(checks):
        row = check.reason.value, _result(passed=check.passed), check.observed, check.required, check.name
        yield ("" if number else title, *row)


def _result(*, passed: bool) -> str:
    return Marked("passed", Severity.WARNING) if passed else Marked("failed", Severity.GOOD)


def _gate_rows(found: PodExplanation) -> Iterator[Row]:
    for gate, result in found.gates.items():
        is_first = gate is found.blocking_gate
        word = Marked("blocks", Severity.WARNING if is_first else Severity.QUIET) if result.blocks else "open"
        yield gate.value, word, result.observed, result.required, result.message


def to_document(found: PodExplanation) -> dict[str, Any]:
    """Return an explanation as a document. Its fields are part of the interface of the command."""
    explained = {c.container: c for c in found.containers}
    key = found.pod.key
    return {
        "pod": key.name,
        "namespace": key.namespace,
        "workload": found.workload,
        "policy": found.policy.name,
        "mode": found.policy.spec.mode.value,
        "containers": [_container_document(a, explained.get(a.container.name)) for a in found.assessments],
        "gates": [
            {"gate": g.value, "blocks": r.blocks, "observed": r.observed, "required": r.required, "message": r.message}
            for g, r in found.gates.items()
        ],
        "blockedBy": found.blocking_gate.value if found.blocking_gate else None,
        "wouldRoll": found.would_roll,
        "next": found.next_step,
        "queries": list(found.queries),
    }


def _container_document(assessment: Assessment, explained: ContainerExplanation | None) -> dict[str, Any]:
    verdict, container = assessment.verdict, assessment.container
    started = container.started_at
    return without_empty(
        {
            "name": container.name,
            "verdict": verdict.verdict.value,
            "reason": verdict.reason.value,
            "message": assessment.message,
            "startedAt": rfc3339(started) if started else None,
            "usageBytes": None if verdict.usage_bytes is None else round(verdict.usage_bytes),
            "limitBytes": container.limit_bytes,
            "timeToLimitSeconds": verdict.time_to_limit_s,
            "leadTimeSeconds": verdict.lead_time_s,
        }
    ) | {"due": verdict.due, "windows": [] if explained is None else _window_documents(explained)}


def _window_documents(explained: ContainerExplanation) -> list[dict[str, Any]]:
    return [
        {
            "seconds": window.window_s,
            "isLeak": window.is_leak,
            "notChecked": window.insufficient_data,
            "checks": [
                {
                    "check": check.reason.value,
                    "passed": check.passed,
                    "statistic": check.name,
                    "observed": check.observed,
                    "required": check.required,
                }
                for check in window.checks
            ],
        }
        for window in explained.windows
    ]
