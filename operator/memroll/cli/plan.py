"""Command `memroll plan`: which pods would be rolled when, over the next hours."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from memroll import clock
from memroll.api.base import rfc3339
from memroll.api.quantity import humanize_duration
from memroll.cli import connection, errors, prometheus_options
from memroll.cli.command import ClusterOptions, PeriodSeconds, cluster_options, output_option
from memroll.cli.command import command as define
from memroll.cli.output import PLAIN_FORMATS, without_empty, write_document, write_text
from memroll.cli.prometheus_options import OperatorOptions, operator_options
from memroll.inspection.operator_view import read_namespace
from memroll.inspection.read_only import ReadOnlyCluster
from memroll.inspection.roll_plan import PlannedRoll, PolicyPlan, plan_namespace
from memroll.rendering import Marked, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from memroll.rendering import Row

HEADER: Row = ("WHEN", "POD", "POLICY", "WORKLOAD", "TIME-TO-LIMIT", "GATE", "REASON")


@define(
    "plan",
    examples=[
        "plan -n ai --prometheus http://localhost:9090",
        "plan -n ai --ahead 24h -o json",
        "plan --exit-code && echo 'no pod would be rolled now'",
    ],
)
@click.option("-n", "--namespace", metavar="NAME", help="namespace (default: that of the kubeconfig's context)")
@click.option("--ahead", type=PeriodSeconds(), metavar="6h", default="6h", help="time to look ahead (default: 6h)")
@click.option("--exit-code", is_flag=True, help="exit with 3 if a pod would be rolled now, 4 if none can be assessed")
@output_option(*PLAIN_FORMATS)
@operator_options
@cluster_options
def command(
    namespace: str | None,
    ahead: float,
    output: str,
    operator: OperatorOptions,
    cluster: ClusterOptions,
    *,
    exit_code: bool,
) -> int:
    """Show which pods would be rolled when, if nothing changes: with budgets, windows and all other gates."""
    now = clock.now()
    scope = namespace or connection.default_namespace(cluster)
    plans = asyncio.run(_plan(scope, timedelta(seconds=ahead), now, operator, cluster))
    _raise_if_all_failed(plans)
    if output in ("json", "yaml"):
        write_document([to_document(plan) for plan in plans], output)
    else:
        write_text(*_text(plans, now, ahead))
    return _exit_code(plans) if exit_code else errors.DONE


async def _plan(
    namespace: str, ahead: timedelta, now: datetime, operator: OperatorOptions, options: ClusterOptions
) -> tuple[PolicyPlan, ...]:
    async with connection.open_cluster(options) as writable:
        cluster = ReadOnlyCluster(writable)
        view = await read_namespace(cluster, namespace, operator.settings, now)
        if not view.policies:
            raise errors.NotEnoughDataError(f"namespace {namespace} has no valid policy: choose another one with -n")
        with prometheus_options.open_prometheus(operator, {p.spec.prometheus for p in view.policies}) as prometheus:
            return await plan_namespace(view, cluster, prometheus, ahead)


def _raise_if_all_failed(plans: Sequence[PolicyPlan]) -> None:
    if all(plan.error for plan in plans):
        assert plans[0].error is not None, "each one has an error"
        raise plans[0].error


def _exit_code(plans: Sequence[PolicyPlan]) -> int:
    if any(roll.is_now for plan in plans for roll in plan.rolls):
        return errors.FOUND
    watched = sum(plan.watched_pods for plan in plans)
    return errors.NO_DATA if watched and watched == sum(p.inconclusive_pods for p in plans) else errors.DONE


def _text(plans: Sequence[PolicyPlan], now: datetime, ahead_s: float) -> Iterator[str | list[Row]]:
    rows = [_row(roll, now) for plan in plans for roll in plan.rolls]
    if rows:
        yield [HEADER, *rows]
        yield ""
    for plan in plans:
        yield _summary(plan, ahead_s)
        if plan.shortfall:
            yield Marked(f"  CannotKeepUp: {plan.shortfall}", Severity.WARNING)


def _row(roll: PlannedRoll, now: datetime) -> Row:
    left_s = roll.candidate.verdict.time_to_limit_s
    return (
        _when(roll, now),
        roll.candidate.pod.key.name,
        roll.policy,
        roll.workload,
        "" if left_s is None else humanize_duration(left_s),
        roll.gate.value if roll.gate else "",
        roll.message or roll.candidate.verdict.message,
    )


def _when(roll: PlannedRoll, now: datetime) -> str:
    if roll.is_now:
        return Marked("now", Severity.BAD)
    if roll.at is None:
        return Marked("blocked", Severity.WARNING)
    wait_s = (roll.at - now).total_seconds()
    return f"in {humanize_duration(wait_s)}" if wait_s > 0 else Marked("when permitted", Severity.WARNING)


def _summary(plan: PolicyPlan, ahead_s: float) -> str:
    name, spec = plan.policy.name, plan.policy.spec
    if plan.error is not None:
        return Marked(f"{name}: not examined: {plan.error.message}", Severity.BAD)
    if spec.suspend:
        return f"{name}: suspended, nothing is rolled"
    inconclusive = f", {plan.inconclusive_pods} of them inconclusive" if plan.inconclusive_pods else ""
    count = sum(1 for roll in plan.rolls if roll.is_now or roll.at is not None)
    return (
        f"{name} (mode: {spec.mode}): {plan.watched_pods} pods{inconclusive}; "
        f"{count} to be rolled within {humanize_duration(ahead_s)}"
    )


def to_document(plan: PolicyPlan) -> dict[str, Any]:
    """Return the plan of a policy as a document. Its fields are part of the interface of the command."""
    return {
        "policy": plan.policy.name,
        "namespace": plan.policy.namespace,
        "mode": plan.policy.spec.mode.value,
        "suspended": plan.policy.spec.suspend,
        "watchedPods": plan.watched_pods,
        "inconclusivePods": plan.inconclusive_pods,
        "shortfall": plan.shortfall,
        "error": plan.error.message if plan.error else "",
        "rolls": [_roll_document(roll) for roll in plan.rolls],
    }


def _roll_document(roll: PlannedRoll) -> dict[str, Any]:
    verdict = roll.candidate.verdict
    return without_empty(
        {
            "pod": roll.candidate.pod.key.name,
            "container": roll.candidate.container,
            "workload": roll.workload,
            "at": rfc3339(roll.at) if roll.at else None,
            "blockedBy": roll.gate.value if roll.gate else None,
            "message": roll.message or verdict.message,
            "timeToLimitSeconds": verdict.time_to_limit_s,
        }
    ) | {"now": roll.is_now}
