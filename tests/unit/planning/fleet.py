"""Fleet of pods that leak alike, with virtual time: the planner decides in a loop which pods are rolled, and when."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from memroll.api.pod_roll import Phase, PodRoll, ReplacementPod
from memroll.model.roll_duration import ROLL_OVERHEAD_S
from memroll.planning.plan import make_plan
from memroll.reporting.outcome import NO_PLAN
from tests.builders import (
    WORKLOAD_REF,
    at,
    candidate,
    container,
    context,
    exhausting_verdict,
    leak_verdict,
    pod,
    policy,
    roll_json,
    workload,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from memroll.planning.candidate import Candidate
    from memroll.planning.keep_up import Shortfall
    from memroll.planning.plan import Plan

HOUR_S = 3600
STEP_S = 900
"""Interval of the reconciles in seconds, three times the default: the replay is fast, and the pace is slower."""
ROLL_S = 900
"""Duration of a roll in seconds."""
MAX_LEAD_S = 2 * HOUR_S
"""Lead time of a leak in seconds, with the default window; less for a pod that lives for less than eight hours."""


@dataclass
class Fleet:
    """Replicas that were started together and reach their limit `life_h` hours after their start."""

    replicas: int
    life_h: float
    roll: dict[str, Any] = field(default_factory=dict)
    known_after_h: float = 24.0
    """Age from which a leak is confirmed: pods of the same age that grow together are compared for a day."""

    def __post_init__(self) -> None:
        self.seconds = 0
        self.started = {f"pod-{i}": 0 for i in range(self.replicas)}
        self.rolls: list[PodRoll] = []
        self.rolled: list[float] = []
        """Hours at which rolls were created."""
        self.late: list[float] = []
        """Hours at which pods reached their limit."""
        self.shortfalls: list[tuple[float, Shortfall]] = []
        self._created = self.replicas
        self._spec = policy(roll=self.roll, interval="15m").spec

    def run(self, hours: float) -> Fleet:
        while self.seconds < hours * HOUR_S:
            self.seconds += STEP_S
            self._end_rolls()
            self._kill_late_pods()
            plan = self.plan()
            if plan.shortfall is not None:
                self.shortfalls.append((self.hours, plan.shortfall))
            for planned in plan.rolls:
                self._create_roll(planned.pod.key.name)
        return self

    @property
    def hours(self) -> float:
        return self.seconds / HOUR_S

    def plan(self) -> Plan:
        candidates = list(self._candidates())
        if not candidates:
            return NO_PLAN
        around = context(
            *self.rolls, spec=self._spec, now=self._time(self.seconds), policy_pods=self.replicas,
            healthy=frozenset(f"uid-{name}" for name in self.started),
        )  # fmt: skip
        return make_plan(candidates, around)

    def _candidates(self) -> Iterator[Candidate]:
        life_s = self.life_h * HOUR_S
        lead_s = min(MAX_LEAD_S, life_s / 4)
        for name, started in self.started.items():
            age_s = self.seconds - started
            left_s = life_s - age_s
            if age_s >= self.known_after_h * HOUR_S:
                verdict = leak_verdict(left_s, lead_s=lead_s, due=left_s <= lead_s)
            elif left_s <= lead_s:
                verdict = exhausting_verdict(left_s, lead_s)
            else:
                continue
            created_at, ready_at = self._time(started), self._time(started + ROLL_S - ROLL_OVERHEAD_S)
            watched = pod(
                name,
                containers=(container(started_at=created_at),),
                created_at=created_at,
                ready_at=ready_at,
            )
            replicas = {"controller_replicas": self.replicas, "replicas": self.replicas}
            yield candidate(pod=watched, verdict=verdict, workload=workload(**replicas))

    def _time(self, seconds: float) -> datetime:
        return at(seconds)

    def _create_roll(self, name: str) -> None:
        self.rolled.append(self.hours)
        now = self._time(self.seconds)
        spec = {"podName": name, "podUID": f"uid-{name}"}
        times = {"announced": now.isoformat()}
        raw = roll_json("Replacing", created=now, spec=spec, workload=WORKLOAD_REF, times=times)
        raw["metadata"]["name"] = f"{name}-{self.seconds}"
        self.rolls.append(PodRoll.read(raw))

    def _end_rolls(self) -> None:
        now = self._time(self.seconds)
        for i, roll in enumerate(self.rolls):
            if not roll.active or now - roll.created_at < timedelta(seconds=ROLL_S):
                continue
            self.started.pop(roll.spec.pod_name)
            self._created += 1
            new = f"pod-{self._created}"
            self.started[new] = self.seconds
            status = roll.status.model_copy(
                update={
                    "phase": Phase.SUCCEEDED,
                    "times": roll.status.times.model_copy(update={"verifying": now, "finished": now}),
                    "replacement": ReplacementPod(name=new, uid=f"uid-{new}"),
                }
            )
            self.rolls[i] = roll.model_copy(update={"status": status})
        self.rolls = [r for r in self.rolls if now - r.created_at < timedelta(days=7)]

    def _kill_late_pods(self) -> None:
        """Restart the container of each pod that has reached its limit."""
        for name, started in self.started.items():
            if self.seconds - started >= self.life_h * HOUR_S:
                self.late.append(self.hours)
                self.started[name] = self.seconds
