"""memroll's own metrics: bounded labels, never a pod's name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from memroll import __version__
from memroll.errors import PrometheusUnavailable

if TYPE_CHECKING:
    from memroll.api.pod_roll import PodRoll
    from memroll.reporting.outcome import Outcome

POLICY = ("namespace", "policy")
RUNAWAY = "runaway_guard"
UNKNOWN = "Unknown"
"""The effect of a roll of which it can't be told."""
VERDICTS = ("healthy", "breaching", "inconclusive")


class Metrics:
    """All metrics of one process, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        build = Gauge("memroll_build_info", "Always 1; the version is a label", ("version",), registry=self.registry)
        build.labels(__version__).set(1)
        self.leader = Gauge("memroll_leader", "1 while this process holds the Lease", registry=self.registry)
        self.pods = Gauge("memroll_pods", "Selected pods by verdict", (*POLICY, "verdict"), registry=self.registry)
        self.passes = Counter("memroll_passes_total", "Passes by result", (*POLICY, "result"), registry=self.registry)
        self.pass_seconds = Histogram(
            "memroll_pass_duration_seconds", "How long a pass over one policy takes", registry=self.registry
        )
        self.last_pass = Gauge(
            "memroll_last_pass_timestamp_seconds", "When the last pass without trouble ended", POLICY,
            registry=self.registry,
        )  # fmt: skip
        self.connection_up = Gauge(
            "memroll_connection_up", "1 when the last query of this Prometheus connection was answered",
            ("connection",), registry=self.registry,
        )  # fmt: skip
        self.holds = Gauge("memroll_holds", "Due pods that a gate holds", (*POLICY, "gate"), registry=self.registry)
        self.runaway_guard = Gauge(
            "memroll_runaway_guard", "1 while the runaway guard holds rolls of a policy", POLICY, registry=self.registry
        )
        self.rolls = Counter("memroll_rolls_total", "Ended rolls", (*POLICY, "outcome"), registry=self.registry)
        self.effects = Counter(
            "memroll_roll_effects_total", "Rolls by what they were worth", (*POLICY, "effect"), registry=self.registry
        )
        self.roll_seconds = Histogram(
            "memroll_roll_duration_seconds", "How long a successful roll takes", registry=self.registry,
            buckets=(5, 10, 20, 30, 60, 120, 300, 600, 1800),
        )  # fmt: skip
        self.loop_lag = Gauge(
            "memroll_event_loop_lag_seconds", "How late the event loop woke at its last check", registry=self.registry
        )
        self.rss = Gauge("memroll_resident_memory_bytes", "memroll's own resident memory", registry=self.registry)
        self.events_dropped = Gauge(
            "memroll_events_dropped", "Events given up because the queue was full", registry=self.registry
        )

    def observe_pass(self, outcome: Outcome, seconds: float) -> None:
        """Count one pass."""
        labels = (outcome.policy.namespace, outcome.policy.name)
        connection = self.connection_up.labels(outcome.policy.spec.prometheus)
        self.pass_seconds.observe(seconds)
        self.passes.labels(*labels, outcome.trouble.reason if outcome.trouble else "Judged").inc()
        if isinstance(outcome.trouble, PrometheusUnavailable):
            connection.set(0)
        if outcome.trouble is not None:
            return
        self.last_pass.labels(*labels).set(outcome.now.timestamp())
        if outcome.assessments:
            connection.set(1)
        self._set_pods(outcome, labels)
        for roll in outcome.learned:
            effect = roll.status.memory.effect if roll.status.memory else None
            self.effects.labels(*labels, effect.value if effect else UNKNOWN).inc()

    def _set_pods(self, outcome: Outcome, labels: tuple[str, str]) -> None:
        counts = dict.fromkeys(VERDICTS, 0)
        names = {"Breach": "breaching", "Healthy": "healthy", "Inconclusive": "inconclusive"}
        for _, group in outcome.by_pod():
            counts[names[outcome.verdict_of(group).__name__]] += 1
        for verdict, count in counts.items():
            self.pods.labels(*labels, verdict).set(count)
        self.holds.remove_by_labels(dict(zip(POLICY, labels, strict=True)))
        self.runaway_guard.labels(*labels).set(int(any(h.gate == RUNAWAY for h in outcome.plan.holds)))
        for hold in outcome.plan.holds:
            if hold.candidate.due:
                self.holds.labels(*labels, hold.gate).inc()

    def observe_roll(self, roll: PodRoll) -> None:
        """Count one ended roll."""
        phase, times = roll.status.phase, roll.status.times
        self.rolls.labels(roll.namespace, roll.spec.policy, str(phase)).inc()
        if phase == "Succeeded" and times.announced and times.finished:
            self.roll_seconds.observe((times.finished - times.announced).total_seconds())

    def forget(self, namespace: str, policy: str) -> None:
        """Drop the series of a policy that does not exist any more."""
        for metric in (
            self.pods,
            self.passes,
            self.last_pass,
            self.holds,
            self.runaway_guard,
            self.rolls,
            self.effects,
        ):
            metric.remove_by_labels({"namespace": namespace, "policy": policy})
