"""Settings of a valid policy that can't have their effect, found when the policy is reconciled. Pure.

Such a policy looks healthy until a pod is due, which is too late to correct it. `reconcile.policy` calls
`find_misconfigurations`; the condition Misconfigured and an Event report the result.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from memroll.api.policy import Mode
from memroll.api.quantity import format_mib
from memroll.api.roll_spec import DrainMode, Strategy
from memroll.detection.effective_limit import POLICY
from memroll.planning.maintenance_windows import open_intervals
from memroll.rolling.strategy_choice import strategy_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from memroll.api.policy import PolicySpec
    from memroll.detection.assessment import Assessment
    from memroll.model.permissions import Permissions
    from memroll.model.pods import Container, Pod

MAX_NAMED = 5
"""Maximum number of containers that a message names; chosen by hand."""


class MisconfigurationReason(StrEnum):
    """Reason of the condition Misconfigured. Part of the API."""

    CONTAINER_NOT_FOUND = "ContainerNotFound"
    """No watched pod has a container of `spec.containers`."""
    ROLLS_NOT_PERMITTED = "RollsNotPermitted"
    """The policy is in mode Enforce, and memroll was installed without the permission to roll pods."""
    STRATEGY_NOT_PERMITTED = "StrategyNotPermitted"
    """`roll.strategy` needs a permission that memroll was installed without."""
    BUDGET_IS_ZERO = "BudgetIsZero"
    """A budget permits no roll at all."""
    WINDOWS_NEVER_OPEN = "WindowsNeverOpen"
    """`roll.maintenanceWindows` permit a roll at no time."""
    DRAIN_WITHOUT_SURGE = "DrainWithoutSurge"
    """`roll.drain.mode: Detach` has no effect with this strategy."""
    LIMIT_WITHOUT_EFFECT = "LimitWithoutEffect"
    """`exhaustion.limit` is not below the limit of any watched container, or a percentage of none."""
    LIMIT_BELOW_USAGE = "LimitBelowUsage"
    """All watched containers use more than `exhaustion.limit`, and none of them grows."""


@dataclass(frozen=True, slots=True)
class Misconfiguration:
    """One setting without effect, with its remedy in the message."""

    reason: MisconfigurationReason
    message: str


def find_misconfigurations(
    spec: PolicySpec, pods: Sequence[Pod], permissions: Permissions, now: datetime
) -> tuple[Misconfiguration, ...]:
    """Return the settings of a policy that can't have their effect.

    `pods`: those that the policy watches, with the limits that count.
    """
    found = [*_missing_containers(spec, pods), *_limit_without_effect(spec, pods)]
    if spec.mode is not Mode.OBSERVE:
        found += [*_missing_permissions(spec, permissions), *_impossible_pace(spec, now)]
    return tuple(found)


def _missing_containers(spec: PolicySpec, pods: Sequence[Pod]) -> Iterator[Misconfiguration]:
    existing = {c.name for pod in pods for c in pod.containers}
    missing = [name for name in spec.containers if name not in existing]
    if pods and missing:
        names = f"containers: none of the watched pods has {_list(missing)}; they have {_list(sorted(existing))}"
        yield Misconfiguration(MisconfigurationReason.CONTAINER_NOT_FOUND, names)


def _limit_without_effect(spec: PolicySpec, pods: Sequence[Pod]) -> Iterator[Misconfiguration]:
    given, watched = spec.exhaustion.limit, [c for pod in pods for c in pod.containers if _is_watched(spec, c)]
    if given is None or not watched or any(_is_lowered(c) for c in watched):
        return
    highest = max((c.limit_bytes for c in watched if c.limit_bytes is not None), default=None)
    if highest is None:
        message = f"exhaustion.limit: {given.text} of no limit: no watched container has one, and what their nodes have"
        message += " is not known; write a quantity, or set nodeAllocatable.enabled in the chart"
    else:
        message = f"exhaustion.limit: {given.text} is not below the limit of any watched container: the highest is"
        message += f" {format_mib(highest)}"
    yield Misconfiguration(MisconfigurationReason.LIMIT_WITHOUT_EFFECT, message)


def _is_watched(spec: PolicySpec, container: Container) -> bool:
    return not spec.containers or container.name in spec.containers


def _is_lowered(container: Container) -> bool:
    """Return whether the policy's limit counts for a container: it is lower, or makes the node's memory the limit."""
    lowered = container.lowered
    return lowered is not None and (lowered.source == POLICY or lowered.own_bytes is None)


def find_exceeded_limit(spec: PolicySpec, assessments: Sequence[Assessment]) -> tuple[Misconfiguration, ...]:
    """Return the policy's limit if all watched containers live above it: it is not what they die at."""
    given, usages = spec.exhaustion.limit, []
    for a in assessments:
        limit, usage = a.container.limit_bytes, a.verdict.usage_bytes
        if not _is_lowered(a.container) or limit is None or usage is None or usage <= limit or not a.verdict.is_healthy:
            return ()
        usages.append(usage)
    if given is None or not usages:
        return ()
    message = f"exhaustion.limit: all watched containers use more than {given.text}, at least {format_mib(min(usages))}"
    return (Misconfiguration(MisconfigurationReason.LIMIT_BELOW_USAGE, f"{message}, and do not grow"),)


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return f"{', '.join(names[:MAX_NAMED])}{more}"


def _missing_permissions(spec: PolicySpec, permissions: Permissions) -> Iterator[Misconfiguration]:
    strategy = strategy_of(spec.roll.strategy)
    if not permissions.acting:
        message = (
            "mode: memroll was installed without the permission to roll pods: set enforcement.enabled in the chart"
        )
        yield Misconfiguration(MisconfigurationReason.ROLLS_NOT_PERMITTED, message)
    elif strategy is not None and not strategy.is_permitted(permissions):
        value = f"{strategy.strategy.value.lower()}.enabled"
        message = f"roll.strategy: memroll was installed without the permission for {strategy.strategy}: set {value}"
        yield Misconfiguration(MisconfigurationReason.STRATEGY_NOT_PERMITTED, f"{message} in the chart")
    drains = spec.roll.drain.mode is DrainMode.DETACH
    if drains and spec.roll.strategy in (Strategy.EVICT, Strategy.RESTART):
        message = f"roll.drain.mode: Detach has no effect with roll.strategy: {spec.roll.strategy}; use Surge or Auto"
        yield Misconfiguration(MisconfigurationReason.DRAIN_WITHOUT_SURGE, message)


def _impossible_pace(spec: PolicySpec, now: datetime) -> Iterator[Misconfiguration]:
    for index, budget in enumerate(spec.roll.budgets):
        if budget.rolls.count == 0:
            message = f"roll.budgets[{index}]: 0 rolls permit none; to only report leaks, use mode: Observe"
            yield Misconfiguration(MisconfigurationReason.BUDGET_IS_ZERO, message)
            break
    windows = spec.roll.maintenance_windows
    if windows is None:
        return
    intervals = open_intervals(windows, now)
    if not intervals.is_open and intervals.opens is None:
        message = f"roll.maintenanceWindows: {intervals.error or 'the windows never open: deny covers all of allow'}"
        yield Misconfiguration(MisconfigurationReason.WINDOWS_NEVER_OPEN, message)
