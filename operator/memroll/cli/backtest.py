"""`memroll backtest`: read the history and the policy, replay, and print."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from memroll import clock
from memroll.backtest import csv_traces, html_report, json_output, policy, prometheus_traces, table_output
from memroll.backtest.runner import Work, run
from memroll.errors import MemrollError, Stalled

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from memroll.api.policy import MemoryPolicy
    from memroll.backtest.trace import Trace

USAGE_ERROR = 2


def command(arguments: argparse.Namespace) -> int:
    """Return 0, 1 when Prometheus can't be read, 2 for what can't be used as it was given."""
    try:
        _backtest(arguments)
    except MemrollError as error:
        print(f"memroll backtest: {error.message}", file=sys.stderr)
        return USAGE_ERROR if isinstance(error, Stalled) else 1
    return 0


def _backtest(arguments: argparse.Namespace) -> None:
    watched = policy.default() if arguments.policy is None else policy.load(arguments.policy)
    if arguments.report is not None:
        html_report.check(arguments.report)
    traces = _traces(arguments, watched)
    rules = arguments.rules == "all"
    results = run(Work(traces, watched, rules), arguments.jobs, _progress(len(traces), "traces judged"))
    if arguments.report is not None:
        html_report.write(arguments.report, results, watched, rules=rules, plots=arguments.plots)
    write = json_output.to_json if arguments.output == "json" else table_output.to_text
    print(write(results, rules=rules))


def _traces(arguments: argparse.Namespace, watched: MemoryPolicy) -> tuple[Trace, ...]:
    if arguments.traces is not None:
        return csv_traces.read(arguments.traces)
    if not arguments.namespace:
        raise Stalled("NoNamespace", "--prometheus needs -n NAME: the namespace of the pods")
    scope = prometheus_traces.Scope(arguments.prometheus, arguments.namespace, arguments.since, arguments.workload)
    seconds = round(arguments.since)
    return prometheus_traces.read(scope, watched, clock.now().timestamp(), _progress(seconds, "seconds read"))


def _progress(total: int, what: str) -> Callable[[int], None]:
    """Count on standard error, where a person looks at it."""
    if not sys.stderr.isatty():
        return lambda _: None

    def show(done: int) -> None:
        end = "\n" if done == total else ""
        print(f"\r{done} of {total} {what}", end=end, file=sys.stderr, flush=True)

    return show
