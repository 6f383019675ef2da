"""Metrics of memroll itself.

The controllers pass in each outcome and each ended roll; the HTTP server exposes the registry. Labels have bounded
values: none contains the name of a pod.
"""

from __future__ import annotations

from collections import Counter as Counts
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from memroll import __version__
from memroll.api.pod_roll import EffectResult, Phase
from memroll.api.policy import Mode
from memroll.errors import PrometheusUnavailableError
from memroll.model.pod_names import workload_or_pod
from memroll.planning.gate_result import Gate
from memroll.reporting.outcome import PodState, state_of

if TYPE_CHECKING:
    from datetime import datetime

    from memroll.api.pod_roll import PodRoll
    from memroll.reporting.outcome import Outcome

POLICY_LABELS = ("namespace", "policy")
"""Labels of each metric of a policy."""
UNKNOWN_EFFECT = "Unknown"
"""Value of the label `effect` for rolls whose effect could not be measured."""
SUCCEEDED = "Succeeded"
"""Value of the label `result` for a reconcile without an error; otherwise it is the error's reason."""
SUSPENDED = "Suspended"
"""Value of the label `mode` for a policy with `suspend: true`; otherwise it is the policy's mode."""
ROLL_DURATION_BUCKETS_S = (5, 10, 20, 30, 60, 120, 300, 600, 1800)
"""Buckets of the duration of a roll, in seconds."""


class Metrics:
    """All metrics of one process, in their own registry."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._known_policies: set[tuple[str, str]] = set()
        self._connections: dict[tuple[str, str], str] = {}
        """Connection that the last reconcile of each policy queried."""
        self._last_oom_kills_s: dict[tuple[str, str], float] = {}
        build = self._gauge("memroll_build_info", "Always 1; the version is a label", "version")
        build.labels(__version__).set(1)
        self._add_policies()
        self._add_rolls()
        self._add_prometheus()
        self._add_process()

    def _add_policies(self) -> None:
        self.policy_info = self._gauge(
            "memroll_policy_info", "Always 1; the mode of the policy is a label", *POLICY_LABELS, "mode"
        )
        self.pods = self._gauge("memroll_pods", "Watched pods by verdict", *POLICY_LABELS, "verdict")
        self.reconciles = self._counter("memroll_reconcile_total", "Reconciles by result", *POLICY_LABELS, "result")
        self.reconcile_seconds = Histogram(
            "memroll_reconcile_duration_seconds", "Duration of a reconcile of one policy", registry=self.registry
        )
        self.last_reconcile = self._gauge(
            "memroll_last_reconcile_timestamp_seconds",
            "End of the last reconcile without an error, or start of the first one",
            *POLICY_LABELS,
        )
        self.leaking_workloads = self._gauge(
            "memroll_leaking_workloads", "Workloads with a confirmed leak", *POLICY_LABELS
        )
        self.time_to_limit = self._gauge(
            "memroll_time_to_limit_seconds", "Predicted time until the first pod reaches its limit", *POLICY_LABELS
        )
        self.last_oom_kill = self._gauge(
            "memroll_last_oom_kill_timestamp_seconds", "Last OOM kill of a watched container", *POLICY_LABELS
        )
        self.blocked_pods = self._gauge(
            "memroll_blocked_pods", "Due pods whose roll a gate blocks", *POLICY_LABELS, "gate"
        )
        self.held_pods = self._gauge(
            "memroll_held_pods",
            "Pods near their limit that wait: not Ready, or in a rollout",
            *POLICY_LABELS,
        )
        self.roll_rate_limited = self._gauge(
            "memroll_roll_rate_limited", "1 while the roll rate limit blocks rolls of a policy", *POLICY_LABELS
        )
        self.cannot_keep_up = self._gauge(
            "memroll_cannot_keep_up",
            "1 while the pace of rolls leaves too little time for all of them",
            *POLICY_LABELS,
        )

    def _add_rolls(self) -> None:
        self.active_rolls = self._gauge("memroll_active_rolls", "Rolls in progress", *POLICY_LABELS)
        self.dry_runs = self._counter(
            "memroll_dry_runs_total", "Rolls that policies in mode DryRun would have made", *POLICY_LABELS
        )
        self.rolls = self._counter("memroll_rolls_total", "Ended rolls", *POLICY_LABELS, "outcome")
        self.effects = self._counter("memroll_roll_effects_total", "Rolls by effect", *POLICY_LABELS, "effect")
        self.roll_seconds = Histogram(
            "memroll_roll_duration_seconds",
            "Duration of a successful roll",
            registry=self.registry,
            buckets=ROLL_DURATION_BUCKETS_S,
        )

    def _add_prometheus(self) -> None:
        self.connection_up = self._gauge(
            "memroll_connection_up", "1 if the last query of this Prometheus connection succeeded", "connection"
        )
        self.samples = self._counter(
            "memroll_prometheus_samples_total",
            "Samples that the queries of a connection touched, where the store reports them",
            "connection",
        )
        self.response_bytes = self._counter(
            "memroll_prometheus_response_bytes_total", "Bytes of the responses of a connection", "connection"
        )

    def _add_process(self) -> None:
        self.leader = self._gauge("memroll_leader", "1 while this process holds the Lease")
        self.task_restarts = self._counter("memroll_task_restarts_total", "Restarts of a failed task", "task")
        self.loop_lag = self._gauge("memroll_event_loop_lag_seconds", "Delay of the event loop at the last measurement")
        self.rss = self._gauge("memroll_resident_memory_bytes", "memroll's own resident memory")
        self.index_objects = self._gauge("memroll_index_objects", "Objects in the index of a kind", "kind")
        self.index_age = self._gauge(
            "memroll_index_age_seconds", "Time since the index was compared with the API server", "kind"
        )
        self.events_dropped = self._gauge("memroll_events_dropped", "Events dropped because the queue was full")

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def begin_reconcile(self, namespace: str, policy: str, now: datetime) -> None:
        """Count from now on the time without a successful reconcile of a new policy: it may never have one."""
        if (namespace, policy) not in self._known_policies:
            self._known_policies.add((namespace, policy))
            self.last_reconcile.labels(namespace, policy).set(now.timestamp())

    def observe_reconcile(self, outcome: Outcome, seconds: float) -> None:
        """Count one reconcile."""
        labels = (outcome.policy.namespace, outcome.policy.name)
        self.reconcile_seconds.observe(seconds)
        self._set_mode(outcome, labels)
        self.reconciles.labels(*labels, outcome.error.reason if outcome.error else SUCCEEDED).inc()
        self._observe_connection(outcome, labels)
        if outcome.error is not None:
            return
        self._known_policies.add(labels)
        self.last_reconcile.labels(*labels).set(outcome.now.timestamp())
        self._start_counters(labels)
        self._set_pods(outcome, labels)
        self._set_leaks(outcome, labels)
        for roll in outcome.measured_rolls:
            result = roll.status.effect.result if roll.status.effect else None
            self.effects.labels(*labels, result.value if result else UNKNOWN_EFFECT).inc()

    def observe_query(self, connection: str, response_bytes: int, samples: int | None) -> None:
        """Count the cost of one query. `samples`: None if the store does not report it."""
        self.response_bytes.labels(connection).inc(response_bytes)
        if samples is not None:
            self.samples.labels(connection).inc(samples)

    def _observe_connection(self, outcome: Outcome, key: tuple[str, str]) -> None:
        """Set the gauge of the connection that the reconcile queried, and drop one that no policy queries now."""
        connection = outcome.policy.spec.prometheus
        is_down = isinstance(outcome.error, PrometheusUnavailableError)
        is_queried = is_down or bool(outcome.assessments)
        is_unused = outcome.error is None and not is_queried  # suspended, or without pods
        if is_unused or self._connections.get(key, connection) != connection:
            self.release_connection(*key)
        if is_queried:
            self._connections[key] = connection
            self.connection_up.labels(connection).set(int(not is_down))

    def release_connection(self, namespace: str, policy: str) -> None:
        """Remove the gauge of the connection that a policy queried, unless another policy queries it."""
        connection = self._connections.pop((namespace, policy), None)
        if connection is not None and connection not in self._connections.values():
            self.connection_up.remove(connection)

    def _set_pods(self, outcome: Outcome, labels: tuple[str, str]) -> None:
        counts = Counts(state_of(assessments) for _, assessments in outcome.group_by_pod())
        for state in PodState:
            self.pods.labels(*labels, state.value).set(counts[state])
        self.blocked_pods.remove_by_labels(dict(zip(POLICY_LABELS, labels, strict=True)))
        blocked, plan = outcome.plan.blocked, outcome.plan
        rolls = outcome.policy.spec.mode is Mode.ENFORCE  # alerts on these gauges: a trial must not cause one
        self.held_pods.labels(*labels).set(len(plan.held) if rolls else 0)
        is_limited = any(b.gate is Gate.RATE_LIMITED for b in blocked)
        self.roll_rate_limited.labels(*labels).set(int(rolls and is_limited))
        self.cannot_keep_up.labels(*labels).set(int(rolls and plan.shortfall is not None))
        if plan.dry_runs:
            self.dry_runs.labels(*labels).inc(len(plan.dry_runs))
        for gate in (b.gate for b in blocked if b.candidate.due):
            self.blocked_pods.labels(*labels, gate.value).inc()

    def _start_counters(self, labels: tuple[str, str]) -> None:
        """Expose the counters of rolls from 0 on: Prometheus sees no increase in the first value of a series."""
        for phase in Phase:
            if phase.final:
                self.rolls.labels(*labels, phase.value)
        for effect in (*(result.value for result in EffectResult), UNKNOWN_EFFECT):
            self.effects.labels(*labels, effect)

    def _set_mode(self, outcome: Outcome, labels: tuple[str, str]) -> None:
        spec = outcome.policy.spec
        self.policy_info.remove_by_labels(dict(zip(POLICY_LABELS, labels, strict=True)))
        self.policy_info.labels(*labels, SUSPENDED if spec.suspend else spec.mode.value).set(1)

    def _set_leaks(self, outcome: Outcome, labels: tuple[str, str]) -> None:
        """Set the state of the leaks. A released pod has no workload; its PodRoll counts as a roll in progress."""
        confirmed = (a.pod for a in outcome.assessments if a.verdict.is_confirmed_leak)
        leaking = {workload_or_pod(pod) for pod in confirmed if not pod.released}
        self.leaking_workloads.labels(*labels).set(len(leaking))
        self.active_rolls.labels(*labels).set(sum(1 for roll in outcome.rolls if roll.active))
        times_s = [a.verdict.time_to_limit_s for a in outcome.at_risk if a.verdict.time_to_limit_s is not None]
        if times_s:
            self.time_to_limit.labels(*labels).set(min(times_s))
        else:
            self.time_to_limit.remove_by_labels(dict(zip(POLICY_LABELS, labels, strict=True)))
        self._set_last_oom_kill(outcome, labels)

    def _set_last_oom_kill(self, outcome: Outcome, labels: tuple[str, str]) -> None:
        """Set the time of the last OOM kill since the policy's creation; the pod may be gone by the next reconcile."""
        kills = (a.container.oom_killed_at for a in outcome.assessments)
        last_s = max((k.timestamp() for k in kills if k and k >= outcome.policy.created_at), default=0.0)
        if last_s > self._last_oom_kills_s.get(labels, 0.0):
            self._last_oom_kills_s[labels] = last_s
            self.last_oom_kill.labels(*labels).set(last_s)

    def observe_roll(self, roll: PodRoll, policy: str) -> None:
        """Count one ended roll of a policy that exists; empty: of none, whatever name a by-hand roll contains."""
        phase, times = roll.status.phase, roll.status.times
        self.rolls.labels(roll.namespace, policy, str(phase)).inc()
        if phase is Phase.SUCCEEDED and times.announced and times.finished:
            self.roll_seconds.observe((times.finished - times.announced).total_seconds())

    def forget(self, namespace: str, policy: str) -> None:
        """Remove the series of a policy that no longer exists."""
        self._known_policies.discard((namespace, policy))
        self._last_oom_kills_s.pop((namespace, policy), None)
        self.release_connection(namespace, policy)
        for metric in (
            self.policy_info,
            self.pods,
            self.leaking_workloads,
            self.time_to_limit,
            self.last_oom_kill,
            self.active_rolls,
            self.reconciles,
            self.last_reconcile,
            self.blocked_pods,
            self.held_pods,
            self.roll_rate_limited,
            self.cannot_keep_up,
            self.dry_runs,
            self.rolls,
            self.effects,
        ):
            metric.remove_by_labels({"namespace": namespace, "policy": policy})
