"""Section `roll` of a policy: strategy, pace, maintenance windows and draining. Parts of it are copied to PodRolls."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Self
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from memroll.api.base import ATOMIC, SET, ApiModel
from memroll.api.quantity import CountOrPercentage, Duration, PodCount, RollCount, format_duration

MIN_PERCENTAGE_ROLLS = 4
"""Minimum number of rolls of a budget that is a percentage, see design note 0016: a workload with one pod that leaks
within hours needs several rolls a day."""
MIN_BUDGET_PERIOD = timedelta(minutes=1)
"""Minimum period of a budget, chosen by hand: no roll is much shorter."""


class Strategy(StrEnum):
    AUTO = "Auto"
    """Surge where supported, else Evict; Restart for `strategy: Recreate`. The PodRoll records the choice."""
    SURGE = "Surge"
    """Create the replacement first: release the pod from its ReplicaSet, evict it once the replacement is Ready."""
    EVICT = "Evict"
    """Evict the pod through the Eviction API; its controller then creates the replacement."""
    RESTART = "Restart"
    """Restart the whole workload by the annotation of `kubectl rollout restart`, or a Rollout's `spec.restartAt`."""


class DrainMode(StrEnum):
    NONE = "None"
    """Rely on the pod's own graceful termination."""
    DETACH = "Detach"
    """Remove the running pod from its Services, and evict it once it is idle. Surge only."""


class HoldOrEvict(StrEnum):
    HOLD = "Hold"
    """Wait, although the pod reaches its limit before."""
    EVICT = "Evict"
    """Evict the pod shortly before it reaches its limit."""


class WhenLimitComesFirst(StrEnum):
    ROLL = "Roll"
    """Roll the pod outside of the maintenance windows."""
    HOLD = "Hold"
    """Wait for the next window, although the pod reaches its limit before."""


class RollBudget(ApiModel):
    """Maximum number of rolls of the policy within a sliding period."""

    rolls: RollCount
    """Maximum number of rolls within the period: a count, or a percentage of the pods that the policy watches,
    rounded up and at least 4."""
    per: Duration
    """Length of the sliding period, at least 1m."""

    @field_validator("per")
    @classmethod
    def _require_period(cls, per: timedelta) -> timedelta:
        if per < MIN_BUDGET_PERIOD:
            raise ValueError(f"must be at least 1m, and is {format_duration(per)}: a shorter one limits nothing")
        return per

    def max_rolls(self, watched_pods: int) -> int:
        """Return the maximum number of rolls for a policy that watches this number of pods."""
        if self.rolls.count is not None:
            return self.rolls.count
        return max(MIN_PERCENTAGE_ROLLS, self.rolls.to_count(watched_pods))


DEFAULT_BUDGET = RollBudget(rolls=CountOrPercentage.parse("100%"), per=timedelta(hours=24))
"""Budget of a policy without budgets of its own: each pod once a day, see design note 0016."""
Weekdays = Annotated[
    str, Field(min_length=3, max_length=7, pattern="^(mon|tue|wed|thu|fri|sat|sun)(-(mon|tue|wed|thu|fri|sat|sun))?$")
]
TimeOfDay = Annotated[str, Field(max_length=5, pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$")]


class WeeklyWindow(ApiModel):
    """Time of the week. A window whose `end` is not after its `start` continues over midnight."""

    days: tuple[Weekdays, ...] = Field(default=(), max_length=7, json_schema_extra=SET)
    """Days on which the window starts: `sat`, or a range such as `mon-fri`. Empty: every day."""
    start: TimeOfDay = "00:00"
    """Time of day at which the window starts, in `timeZone`."""
    end: TimeOfDay = "24:00"
    """Time of day at which the window ends, in `timeZone`."""


class MaintenanceWindows(ApiModel):
    """Times at which pods may be rolled."""

    time_zone: str = Field(default="UTC", min_length=1, max_length=64, pattern="^[A-Za-z0-9_+/-]+$")
    """Name in the IANA time zone database, such as `Europe/Berlin`."""
    allow: tuple[WeeklyWindow, ...] = Field(default=(), max_length=32, json_schema_extra=ATOMIC)
    """Windows in which pods may be rolled. Empty: always."""
    deny: tuple[WeeklyWindow, ...] = Field(default=(), max_length=32, json_schema_extra=ATOMIC)
    """Windows in which pods may not be rolled. They take precedence over `allow`."""
    when_limit_comes_first: WhenLimitComesFirst = WhenLimitComesFirst.ROLL
    """Action for a pod that would reach its limit before the next window opens: `Roll` outside of the windows,
    or `Hold` until the next one."""

    @field_validator("time_zone")
    @classmethod
    def _require_known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError) as unknown:
            raise ValueError(f"{name!r} is not in the IANA time zone database") from unknown
        return name


class IdleCondition(ApiModel):
    """Gauge by which a pod counts as idle."""

    metric: str = Field(min_length=1, max_length=200, pattern="^[a-zA-Z_:][a-zA-Z0-9_:]*$")
    """Name of a gauge in Prometheus with the labels `namespace` and `pod`, such as `http_inflight_requests`."""
    max_value: int = Field(default=0, ge=0, le=1_000_000)
    """Maximum value of the gauge at which the pod counts as idle."""


class DrainSpec(ApiModel):
    """Draining of a released pod before it is evicted."""

    mode: DrainMode = DrainMode.NONE
    """`None` relies on the pod's graceful termination. `Detach` removes the running pod from its Services, and
    evicts it once it is idle (strategy Surge only)."""
    min_duration: Duration = timedelta(seconds=15)
    """Minimum time between detaching and evicting the pod, so that connections that were just opened are served."""
    timeout: Duration = timedelta(minutes=10)
    """Time after which a detached pod is evicted, idle or not."""
    until: IdleCondition | None = None
    """Gauge by which the pod counts as idle. Without it, the pod is evicted after `minDuration`."""

    @model_validator(mode="after")
    def _require_order(self) -> Self:
        if self.min_duration > self.timeout:
            raise ValueError("`minDuration` must not be longer than `timeout`")
        return self


class RollPolicy(ApiModel):
    """Strategy, pace and times of rolls."""

    strategy: Strategy = Strategy.AUTO
    """`Surge` starts the replacement before the pod is evicted, `Evict` evicts the pod first, `Restart` restarts
    the whole workload. `Auto` is Surge where supported, else Evict; Restart for `strategy: Recreate`."""
    max_concurrent: PodCount = CountOrPercentage.parse(1)
    """Maximum number of concurrent rolls of one workload: a count, or a percentage of its replicas."""
    cooldown: Duration = timedelta(minutes=10)
    """Pause between two rolls of one workload."""
    budgets: tuple[RollBudget, ...] = Field(default=(DEFAULT_BUDGET,), max_length=8, json_schema_extra=ATOMIC)
    """Limits on the number of rolls over time. All of them apply."""
    replacement_timeout: Duration = timedelta(minutes=10)
    """Time within which a replacement must become Ready; after it the roll is rolled back."""
    during_rollout: HoldOrEvict = HoldOrEvict.HOLD
    """Action for a pod that would reach its limit during a rollout of its workload: `Hold` waits, `Evict` evicts the
    pod shortly before, even if that updates it."""
    when_not_ready: HoldOrEvict = HoldOrEvict.HOLD
    """Action for a pod that would reach its limit while it is not Ready: `Hold` waits, `Evict` evicts the pod shortly
    before."""
    settle: Duration = timedelta(0)
    """Time for which a replacement must be Ready before the old pod leaves, in addition to the workload's
    `minReadySeconds`: for load balancers that send requests to a new pod later."""
    maintenance_windows: MaintenanceWindows | None = None
    """Times at which pods may be rolled. Without it, at any time."""
    drain: DrainSpec = DrainSpec()
    """Draining of a released pod before it is evicted."""
