"""Replay all traces, spread over processes. The results do not depend on the number of processes."""

from __future__ import annotations

import signal
import threading
from concurrent.futures import InvalidStateError, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from memroll.backtest.baselines.rules import first_alert_s, rules_named
from memroll.backtest.policy import limit_for, parameters_for
from memroll.backtest.replay import ReplayResult, replay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from memroll.api.policy import MemoryPolicy
    from memroll.backtest.trace import Trace


TraceResult = tuple[ReplayResult, dict[str, float | None]]
"""Replay of a trace, and the time of the first alert of each baseline rule, by name."""


@dataclass(frozen=True, slots=True)
class BacktestResult:
    """Trace, its replay, and the alerts of the baseline rules."""

    trace: Trace
    """The trace with the limit that counts for this policy."""
    replay: ReplayResult
    first_alerts_s: Mapping[str, float | None]
    """Time of the first alert of each baseline rule, by name."""


@dataclass(frozen=True, slots=True)
class BacktestJob:
    """Input that every worker process has."""

    traces: Sequence[Trace]
    policy: MemoryPolicy
    rules: tuple[str, ...]
    """Names of the baseline rules that are evaluated as well."""
    every: int = 1
    """One of this many intervals is evaluated."""

    def run(self, number: int) -> TraceResult:
        """Replay the trace with this index. The baseline rules use the container's own limit."""
        trace = self.traces[number]
        limited = self.with_limit(trace)
        parameters = parameters_for(self.policy, limited.history.limit_bytes)
        peers = [
            self.with_limit(t).history
            for n, t in enumerate(self.traces)
            if n != number and t.workload and t.workload == trace.workload
        ]
        replayed = replay(limited, parameters, peers, self.every)
        return replayed, {r.name: first_alert_s(r, trace, parameters) for r in rules_named(self.rules)}

    def with_limit(self, trace: Trace) -> Trace:
        """Return the trace with the limit that counts for the policy."""
        own_bytes = trace.history.limit_bytes
        limit_bytes = limit_for(self.policy, own_bytes)
        if limit_bytes == own_bytes:
            return trace
        return replace(trace, history=replace(trace.history, limit_bytes=limit_bytes))


_worker_state: list[BacktestJob] = []
"""Job of a worker process, sent once when it starts instead of with each trace."""


def _init_worker(job: BacktestJob) -> None:
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as that of a process in the background
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends a worker without a traceback
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    _worker_state[:] = [job]


def _run_trace(number: int) -> TraceResult:
    return _worker_state[0].run(number)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Drop the error of the executor's own thread after Ctrl-C, which ends its workers and cancels its work at once."""
    report = threading.excepthook

    def report_others(raised: threading.ExceptHookArgs) -> None:
        if not isinstance(raised.exc_value, InvalidStateError):
            report(raised)

    threading.excepthook = report_others
    try:
        yield
    finally:
        threading.excepthook = report


def run(job: BacktestJob, processes: int, progress: Callable[[int], None]) -> tuple[BacktestResult, ...]:
    """Return the results in the order of the traces. `progress` is called with the number of finished traces."""
    numbers = range(len(job.traces))
    if processes == 1:
        done = list(_report_progress(map(job.run, numbers), progress))
    else:
        with _interruptible(), ProcessPoolExecutor(processes, initializer=_init_worker, initargs=(job,)) as pool:
            before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # until each worker handles it
            try:
                pending = pool.map(_run_trace, numbers)  # starts the workers
            finally:  # also if Ctrl-C has ended one of them already: this raises the KeyboardInterrupt
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
            done = list(_report_progress(pending, progress))
    results = zip(job.traces, done, strict=True)
    return tuple(BacktestResult(job.with_limit(trace), *result) for trace, result in results)


def _report_progress(results: Iterable[TraceResult], progress: Callable[[int], None]) -> Iterator[TraceResult]:
    for n, result in enumerate(results, 1):
        yield result
        progress(n)
