"""How pods are rolled: strategy, pace, windows, drain. A part of a policy's spec, and of a PodRoll's."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Self
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from memroll.api.base import Model
from memroll.api.quantity import CountOrShare, Duration, PodCount


class Strategy(StrEnum):
    AUTO = "Auto"
    """Surge where the workload allows it, else Evict; the PodRoll says which and why."""
    SURGE = "Surge"
    """Create the replacement first: release the pod from its ReplicaSet, evict it when the new one is Ready."""
    EVICT = "Evict"
    """Evict through the Eviction API; the controller creates the replacement afterwards."""
    RESTART = "Restart"
    """Restart the whole workload by the annotation of `kubectl rollout restart`, or a Rollout's `spec.restartAt`."""


class DrainMode(StrEnum):
    NONE = "None"
    """The pod's own graceful termination drains it."""
    DETACH = "Detach"
    """Take the pod out of its Services while it still runs, and evict it when it is idle. Surge only."""


class Budget(Model):
    """At most so many rolls of the policy in a sliding period."""

    rolls: int = Field(ge=0, le=10_000)
    per: Duration


Day = Annotated[
    str, Field(min_length=3, max_length=7, pattern="^(mon|tue|wed|thu|fri|sat|sun)(-(mon|tue|wed|thu|fri|sat|sun))?$")
]
TimeOfDay = Annotated[str, Field(max_length=5, pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$")]


class Window(Model):
    """A time of the week. One whose `end` is not after its `start` goes on over midnight."""

    days: tuple[Day, ...] = Field(default=(), max_length=7)
    """Days on which it starts: `sat`, or a range such as `mon-fri`. Empty: every day."""
    start: TimeOfDay = "00:00"
    end: TimeOfDay = "24:00"


class Windows(Model):
    """When pods may be rolled."""

    time_zone: str = Field(default="UTC", min_length=1, max_length=64, pattern="^[A-Za-z0-9_+/-]+$")
    """A name of the IANA time zone database, such as `Europe/Berlin`."""
    allow: tuple[Window, ...] = Field(default=(), max_length=32)
    """Empty: always."""
    deny: tuple[Window, ...] = Field(default=(), max_length=32)
    """Wins over `allow`."""
    act_early: bool = True
    """Also roll outside of the windows when the pod would reach its limit before the next one opens."""

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError) as unknown:
            raise ValueError(f"{name!r} is not in the IANA time zone database") from unknown
        return name


class InFlight(Model):
    """What tells that a pod is idle."""

    metric: str = Field(min_length=1, max_length=200, pattern="^[a-zA-Z_:][a-zA-Z0-9_:]*$")
    """The name of a gauge in Prometheus with the labels `namespace` and `pod`, such as `http_inflight_requests`."""
    at_most: int = Field(default=0, ge=0, le=1_000_000)


class DrainSpec(Model):
    """How a released pod is emptied before it is evicted."""

    mode: DrainMode = DrainMode.NONE
    wait: Duration = timedelta(seconds=15)
    """How long a detached pod is left alone at least: connections that were just opened get through."""
    timeout: Duration = timedelta(minutes=10)
    """When a detached pod is evicted at the latest, idle or not."""
    until: InFlight | None = None
    """What tells that the pod is idle. Without it, it is evicted after `wait`."""

    @model_validator(mode="after")
    def _waits_within_its_time(self) -> Self:
        if self.wait > self.timeout:
            raise ValueError("`wait` must not be longer than `timeout`")
        return self


class RollSpec(Model):
    """How a pod is replaced, and how many may be."""

    strategy: Strategy = Strategy.AUTO
    max_concurrent: PodCount = CountOrShare.parse(1)
    """Rolls of one workload at a time: a count, or a percentage of its replicas."""
    cooldown: Duration = timedelta(minutes=10)
    """The pause between two rolls of one workload."""
    budgets: tuple[Budget, ...] = Field(default=(Budget(rolls=4, per=timedelta(hours=24)),), max_length=8)
    """Each holds on its own: the most restrictive one wins."""
    replacement_timeout: Duration = timedelta(minutes=10)
    """How long a replacement may take to become Ready before the roll is rolled back."""
    windows: Windows | None = None
    """When pods may be rolled. Without it, at any time."""
    drain: DrainSpec = DrainSpec()
    """How a released pod is emptied before it is evicted."""
