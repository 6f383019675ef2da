"""Command `memroll backtest`: read history and policy, replay the policy, print the results."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from memroll import clock
from memroll.api.policy import DEFAULT_CONNECTION
from memroll.backtest import (
    csv_traces,
    exported_traces,
    html_report,
    json_output,
    policy,
    prometheus_traces,
    table_output,
)
from memroll.backtest.baselines.rules import RULE_NAMES
from memroll.backtest.runner import BacktestJob, run
from memroll.cli import errors
from memroll.cli.command import Bytes, Count, Label, PeriodSeconds, RuleNames
from memroll.cli.command import command as define
from memroll.cli.errors import InvalidArgumentError
from memroll.cli.output import write_document
from memroll.cli.progress import progress
from memroll.cli.time_zone import time_zone_option
from memroll.clients.prometheus.credentials import ConnectionsFile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memroll.api.policy import MemoryPolicy
    from memroll.backtest.runner import BacktestResult
    from memroll.backtest.trace import Trace

OF_PROMETHEUS = ("namespace", "since", "workload", "match_label", "connection")
"""Options that apply to the history of a Prometheus server only."""


@dataclass(frozen=True, slots=True)
class HistorySource:
    """Options that select the history."""

    traces: Path | None
    limit: int | None
    prometheus: str | None
    connections: Path | None
    connection: str
    namespace: str | None
    since: float
    workload: str
    match_label: tuple[tuple[str, str], ...]


@define(
    "backtest",
    examples=[
        "backtest --prometheus http://localhost:9090 -n ai --since 7d",
        "backtest --connections connections.yaml --connection eu -n ai",
        "backtest --traces history/ --policy policy.yaml --report history.html",
        "backtest --traces query_range.json --limit 1Gi -o json --rules none",
    ],
)
@click.option(
    "--traces",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="read a folder with MANIFEST.csv, a response of query_range (.json), or a CSV file of Grafana",
)
@click.option("--limit", type=Bytes(), metavar="1Gi", help="with --traces: memory limit where a file has none")
@click.option("--prometheus", metavar="URL", help="read the history of a Prometheus server; needs -n")
@click.option(
    "--connections",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="the same, by the operator's file with credentials",
)
@click.option("--connection", metavar="NAME", default=DEFAULT_CONNECTION, help="with --connections (default: default)")
@click.option("-n", "--namespace", metavar="NAME", help="of Prometheus: namespace of the pods")
@click.option(
    "--since",
    type=PeriodSeconds(),
    metavar="14d",
    default="14d",
    help="of Prometheus: length of history (default: 14d)",
)
@click.option("--workload", metavar="PREFIX", default="", help="of Prometheus: prefix of the pods' names")
@click.option(
    "--match-label",
    type=Label(),
    multiple=True,
    metavar="NAME=VALUE",
    help="of Prometheus: label of all series, such as the cluster's in a store of several; repeatable",
)
@click.option(
    "--policy",
    "policy_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="file with a MemoryPolicy (default: all defaults)",
)
@click.option(
    "-o", "--output", type=click.Choice(("table", "json", "yaml")), default="table", help="format (default: table)"
)
@click.option(
    "--report",
    type=click.Path(path_type=Path),
    metavar="FILE.html",
    help="also write an HTML page with a plot of each trace",
)
@click.option("--plots", type=Count(), metavar="N", default=200, help="number of plots in the report (default: 200)")
@time_zone_option
@click.option(
    "--rules",
    type=RuleNames(RULE_NAMES),
    default="all",
    metavar="all|none|NAME,...",
    help=f"simpler rules to compare with: {', '.join(RULE_NAMES)} (default: all)",
)
@click.option(
    "--jobs", type=Count(), metavar="N", default=os.cpu_count() or 1, help="number of processes (default: one per core)"
)
@click.option("--exit-code", is_flag=True, help="exit with 3 if a pod would be rolled, with 4 if none can be assessed")
def command(policy_file: Path | None, report: Path | None, rules: tuple[str, ...], jobs: int, **given: Any) -> int:
    """Replay a policy over recorded history: when it would have reported and rolled each pod."""
    output, with_exit_code, plots, page_clock = map(given.pop, ("output", "exit_code", "plots", "page_clock"))
    source = _checked(HistorySource(**given))
    replayed = policy.default_policy() if policy_file is None else policy.load(policy_file)
    if report is not None:
        html_report.check(report)
    traces = _traces(source, replayed)
    with progress("replaying traces", len(traces)) as show:
        results = run(BacktestJob(traces, replayed, rules), jobs, show)
    if report is not None:
        html_report.write(
            report, html_report.render_page(results, replayed, rules=rules, plots=plots, clock=page_clock)
        )
    if output == "table":
        click.echo(table_output.to_text(results, rules=rules))
    else:
        write_document(json_output.to_document(results, rules=rules), output)
    return _exit_code(results) if with_exit_code else errors.DONE


def _exit_code(results: Sequence[BacktestResult]) -> int:
    if any(result.replay.rolled for result in results):
        return errors.FOUND
    return errors.DONE if any(result.replay.assessed for result in results) else errors.NO_DATA


def _checked(source: HistorySource) -> HistorySource:
    """Return the options; raise an error for those that do not apply to the source."""
    chosen = [name for name in ("traces", "prometheus", "connections") if getattr(source, name) is not None]
    if len(chosen) != 1:
        raise InvalidArgumentError("exactly one of --traces PATH, --prometheus URL and --connections FILE is needed")
    refused = {
        "traces": (OF_PROMETHEUS, "--prometheus and --connections"),
        "prometheus": (("limit", "connection"), "--traces and --connections"),
        "connections": (("limit",), "--traces"),
    }
    names, others = refused[chosen[0]]
    ctx = click.get_current_context()
    for name in names:
        if ctx.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT:
            option = f"--{name.replace('_', '-')}"
            raise InvalidArgumentError(f"{option} applies to {others} only, not to --{chosen[0]}: leave it out")
    return source


def _traces(source: HistorySource, replayed: MemoryPolicy) -> tuple[Trace, ...]:
    if source.traces is not None:
        if exported_traces.can_read(source.traces):
            return exported_traces.read(source.traces, source.limit)
        if source.limit is not None:
            raise InvalidArgumentError("--limit applies to exported files only: limits are in MANIFEST.csv")
        return csv_traces.read(source.traces)
    if not source.namespace:
        raise InvalidArgumentError("--prometheus needs -n NAME: the namespace of the pods")
    file = source.connections
    connection = None if file is None else ConnectionsFile(file)().get(source.connection)
    labels = dict(source.match_label)
    scope = prometheus_traces.HistoryScope(
        source.prometheus or "", source.namespace, source.since, source.workload, labels, connection
    )
    with progress("reading history", round(source.since)) as show:
        return prometheus_traces.read(scope, replayed, clock.now().timestamp(), show)
