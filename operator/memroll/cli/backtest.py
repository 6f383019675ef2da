"""Command `memroll backtest`: read history and policy, replay the policy, print the results."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from memroll import clock
from memroll.backtest import csv_traces, html_report, json_output, policy, prometheus_traces, table_output
from memroll.backtest.runner import BacktestJob, run
from memroll.cli import USAGE_ERROR
from memroll.errors import MemrollError, TerminalError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from memroll.api.policy import MemoryPolicy
    from memroll.backtest.trace import Trace


def command(arguments: argparse.Namespace) -> int:
    """Run the command. Return 0 on success, 1 if Prometheus can't be read, 2 if an argument or a file is invalid."""
    try:
        _backtest(arguments)
    except MemrollError as error:
        print(f"memroll backtest: {error.message}", file=sys.stderr)
        return USAGE_ERROR if isinstance(error, TerminalError) else 1
    return 0


def _backtest(arguments: argparse.Namespace) -> None:
    replayed = policy.default_policy() if arguments.policy is None else policy.load(arguments.policy)
    if arguments.report is not None:
        html_report.check(arguments.report)
    traces = _traces(arguments, replayed)
    rules = arguments.rules == "all"
    results = run(BacktestJob(traces, replayed, rules), arguments.jobs, _progress(len(traces), "traces replayed"))
    if arguments.report is not None:
        html_report.write(arguments.report, results, replayed, rules=rules, plots=arguments.plots)
    write = json_output.to_json if arguments.output == "json" else table_output.to_text
    print(write(results, rules=rules))


def _traces(arguments: argparse.Namespace, replayed: MemoryPolicy) -> tuple[Trace, ...]:
    if arguments.traces is not None:
        return csv_traces.read(arguments.traces)
    if not arguments.namespace:
        raise TerminalError("NoNamespace", "--prometheus needs -n NAME: the namespace of the pods")
    scope = prometheus_traces.HistoryScope(
        arguments.prometheus, arguments.namespace, arguments.since, arguments.workload, dict(arguments.match_label)
    )
    seconds = round(arguments.since)
    return prometheus_traces.read(scope, replayed, clock.now().timestamp(), _progress(seconds, "seconds read"))


def _progress(total: int, unit: str) -> Callable[[int], None]:
    """Return a function that shows progress on standard error, if that is a terminal."""
    if not sys.stderr.isatty():
        return lambda _: None

    def show(done: int) -> None:
        end = "\n" if done == total else ""
        print(f"\r{done} of {total} {unit}", end=end, file=sys.stderr, flush=True)

    return show
