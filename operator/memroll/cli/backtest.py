"""Command `memroll backtest`: read history and policy, replay the policy, print the results."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from memroll import clock
from memroll.backtest import csv_traces, html_report, json_output, policy, prometheus_traces, table_output
from memroll.backtest.runner import BacktestJob, run
from memroll.cli.command import Count, Days, Label
from memroll.cli.command import command as define
from memroll.cli.errors import InvalidArgumentError
from memroll.cli.progress import progress

if TYPE_CHECKING:
    from memroll.api.policy import MemoryPolicy
    from memroll.backtest.trace import Trace


@dataclass(frozen=True, slots=True)
class HistorySource:
    """Options that select the history."""

    traces: Path | None
    prometheus: str | None
    namespace: str | None
    since: float
    workload: str
    match_label: tuple[tuple[str, str], ...]


@define(
    "backtest",
    examples=[
        "backtest --prometheus http://localhost:9090 -n ai --since 7d",
        "backtest --traces history/ --policy policy.yaml --report history.html",
        "backtest --traces history/ -o json --rules none",
    ],
)
@click.option(
    "--traces", type=click.Path(path_type=Path), metavar="DIR", help="read DIR/MANIFEST.csv and the files that it lists"
)
@click.option("--prometheus", metavar="URL", help="read the history of a Prometheus server; needs -n")
@click.option("-n", "--namespace", metavar="NAME", help="with --prometheus: namespace of the pods")
@click.option(
    "--since", type=Days(), metavar="14d", default="14d", help="with --prometheus: length of history (default: 14d)"
)
@click.option("--workload", metavar="PREFIX", default="", help="with --prometheus: prefix of the pods' names")
@click.option(
    "--match-label",
    type=Label(),
    multiple=True,
    metavar="NAME=VALUE",
    help="with --prometheus: label of all series, such as the cluster's in a store of several; repeatable",
)
@click.option(
    "--policy",
    "policy_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="file with a MemoryPolicy (default: all defaults)",
)
@click.option("-o", "--output", type=click.Choice(("table", "json")), default="table", help="format (default: table)")
@click.option(
    "--report",
    type=click.Path(path_type=Path),
    metavar="FILE.html",
    help="also write an HTML page with a plot of each trace",
)
@click.option("--plots", type=Count(), metavar="N", default=200, help="number of plots in the report (default: 200)")
@click.option(
    "--rules",
    type=click.Choice(("all", "none")),
    default="all",
    help="also replay simpler rules for comparison (default: all)",
)
@click.option(
    "--jobs", type=Count(), metavar="N", default=os.cpu_count() or 1, help="number of processes (default: one per core)"
)
def command(
    policy_file: Path | None, output: str, report: Path | None, plots: int, rules: str, jobs: int, **source: Any
) -> None:
    """Replay a policy over recorded history: when it would have reported and rolled each pod."""
    chosen = _checked(HistorySource(**source))
    replayed = policy.default_policy() if policy_file is None else policy.load(policy_file)
    if report is not None:
        html_report.check(report)
    traces, with_rules = _traces(chosen, replayed), rules == "all"
    with progress("replaying traces", len(traces)) as show:
        results = run(BacktestJob(traces, replayed, with_rules), jobs, show)
    if report is not None:
        html_report.write(report, results, replayed, rules=with_rules, plots=plots)
    write = json_output.to_json if output == "json" else table_output.to_text
    click.echo(write(results, rules=with_rules))


def _checked(source: HistorySource) -> HistorySource:
    """Return the options; raise an error for those that do not apply to the source."""
    if (source.traces is None) == (source.prometheus is None):
        raise InvalidArgumentError("either --traces DIR or --prometheus URL is needed, and not both")
    if source.prometheus is not None:
        return source
    ctx = click.get_current_context()
    for name in ("namespace", "since", "workload", "match_label"):
        if ctx.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT:
            raise InvalidArgumentError(f"--{name.replace('_', '-')} applies to --prometheus only: leave it out")
    return source


def _traces(source: HistorySource, replayed: MemoryPolicy) -> tuple[Trace, ...]:
    if source.traces is not None:
        return csv_traces.read(source.traces)
    if not source.namespace:
        raise InvalidArgumentError("--prometheus needs -n NAME: the namespace of the pods")
    assert source.prometheus is not None, "checked before"
    scope = prometheus_traces.HistoryScope(
        source.prometheus, source.namespace, source.since, source.workload, dict(source.match_label)
    )
    with progress("reading history", round(source.since)) as show:
        return prometheus_traces.read(scope, replayed, clock.now().timestamp(), show)
