"""History of the workloads that a scan found: since when they leak, and what a policy would have done."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from memroll.backtest.prometheus_traces import HistoryScope, read
from memroll.backtest.runner import BacktestJob, run
from memroll.backtest.summary import policy_alerts
from memroll.errors import TerminalError
from memroll.inspection.scan_result import PastLeak
from memroll.model.pod_names import template_hash_from_pod_name, workload_from_pod_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from memroll.api.policy import MemoryPolicy
    from memroll.backtest.summary import Alert
    from memroll.backtest.trace import Trace
    from memroll.clients.prometheus.config import Connection
    from memroll.clients.prometheus.session import QueryCost
    from memroll.inspection.scan_result import Finding

MAX_INSTANCES = 6
"""Maximum number of replayed instances of one container; chosen by hand."""
EVERY = 2
"""One of this many intervals is evaluated: ten minutes by the defaults. Chosen by hand."""
NO_HISTORY = "NoHistory"
"""Reason of the error that a server has no samples of the workload."""


@dataclass(frozen=True, slots=True)
class PastScope:
    """History to read."""

    connection: Connection
    policy: MemoryPolicy
    lookback_s: float
    now_s: float
    observe: Callable[[str, QueryCost], None] = lambda *_: None


def read_history(found: Finding, scope: PastScope) -> tuple[Trace, ...]:
    """Return the traces of a finding's container, running pods and earlier ones; none without any sample."""
    workload = workload_from_pod_name(found.pod)
    history = HistoryScope("", found.namespace, scope.lookback_s, workload, connection=scope.connection)
    try:
        traces = read(history, scope.policy, scope.now_s, lambda _: None, scope.observe)
    except TerminalError as error:
        if error.reason == NO_HISTORY:
            return ()
        raise
    return tuple(t for t in traces if t.workload == f"{workload}/{found.container}")


def replay_history(traces: Sequence[Trace], policy: MemoryPolicy, processes: int) -> PastLeak:
    """Replay the most recent instances, those first that were OOM-killed."""
    chosen = sorted(traces, key=lambda t: (t.oom_s is None, -t.end_s))[:MAX_INSTANCES]
    results = run(BacktestJob(chosen, policy, rules=(), every=EVERY), min(processes, len(chosen)), lambda _: None)
    alerts = policy_alerts(results)
    wasted = [a.wasted_ratio for a in alerts if a.wasted_ratio is not None]
    first = min(_reports(alerts), default=None)
    return PastLeak(
        instances=len(traces),
        replayed=len(chosen),
        oom_kills=sum(a.trace.oom_s is not None for a in alerts),
        kills_avoided=sum(a.lead_time_s is not None for a in alerts),
        rolls=sum(a.rolled_s is not None for a in alerts),
        wasted_ratio=median(wasted) if wasted else None,
        since_s=first[0] if first else None,
        since_pod=first[1] if first else "",
        since_revision=template_hash_from_pod_name(first[1]) if first else "",
    )


def _reports(alerts: Sequence[Alert]) -> Iterator[tuple[float, str]]:
    """Yield when each instance that was reported was first suspected, and its pod."""
    for a in alerts:
        if a.reported_s is not None and a.suspected_s is not None:
            yield min(a.suspected_s, a.reported_s), a.trace.name.partition("/")[0]
