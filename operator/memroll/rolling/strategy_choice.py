"""Registry of the roll strategies, and the choice of one for a pod.

The gates call `choose` for each candidate, the state machine when it announces a roll and once more before it releases
a pod. Nothing else decides on a strategy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memroll.api.roll_spec import Strategy
from memroll.model.permissions import ALL_PERMISSIONS
from memroll.rolling.evict import EVICT
from memroll.rolling.restart import RESTART
from memroll.rolling.strategy import RollSubject, StrategyChoice, Unsupported
from memroll.rolling.surge import SURGE

if TYPE_CHECKING:
    from memroll.model.permissions import Permissions
    from memroll.model.pods import Pod, Workload
    from memroll.rolling.strategy import RollStrategy

STRATEGIES: tuple[RollStrategy, ...] = (SURGE, EVICT, RESTART)
"""All strategies. Auto uses the first one that has nothing against it; the reason is what the one before it had."""
ROLLED_KINDS = frozenset({"Deployment", "Rollout", "ReplicaSet", "StatefulSet", "DaemonSet"})
"""Kinds of workloads whose pods memroll replaces."""
_BATCH_GROUP = "batch/"


def strategy_of(strategy: Strategy | None) -> RollStrategy | None:
    """Return the object of a strategy; None for Auto and for a record that has none yet."""
    return next((s for s in STRATEGIES if s.strategy is strategy), None)


def choose(
    requested: Strategy,
    pod: Pod,
    workload: Workload | None,
    permissions: Permissions = ALL_PERMISSIONS,
    hash_selector: str = "",
    missing_room: str = "",
) -> StrategyChoice | Unsupported:
    """Choose the strategy for one pod."""
    if not permissions.acting:
        return Unsupported("memroll was installed without the right to act on pods")
    if workload is None or pod.static or workload.owner.kind not in ROLLED_KINDS:
        return Unsupported(_not_rolled_because(pod, workload))
    subject = RollSubject(pod, workload, permissions, hash_selector, missing_room)
    if requested is Strategy.AUTO:
        return _choose_automatically(subject)
    strategy = strategy_of(requested)
    assert strategy is not None, "every strategy but Auto is registered"
    reason = strategy.unsupported_because(subject)
    if reason:
        return Unsupported(f"strategy {requested} is set in the spec, but {reason}")
    return StrategyChoice(requested, strategy.reason)


def would_release(
    requested: Strategy, pod: Pod, workload: Workload | None, permissions: Permissions = ALL_PERMISSIONS
) -> bool:
    """Return whether the choice releases the pod, provided that nothing selects the pod by its template hash."""
    choice = choose(requested, pod, workload, permissions)
    strategy = strategy_of(choice.strategy) if isinstance(choice, StrategyChoice) else None
    return strategy is not None and strategy.releases_pod


def _choose_automatically(subject: RollSubject) -> StrategyChoice | Unsupported:
    reason = ""
    for strategy in STRATEGIES:
        rejected = strategy.not_automatic_because(subject)
        if not rejected:
            return StrategyChoice(strategy.strategy, reason or strategy.reason)
        reason = rejected
    return Unsupported(reason)


def _not_rolled_because(pod: Pod, workload: Workload | None) -> str:
    if pod.static:
        return "a static pod is owned by its node's kubelet: the API server can't evict it"
    if workload is None:
        return "a pod without a controller would not be replaced: run it by a Deployment or StatefulSet"
    if workload.owner.api_version.startswith(_BATCH_GROUP):
        return f"pods of a {workload.owner.kind} are not rolled: one that ends early would lose its work"
    kind = f"{workload.owner.kind} ({workload.owner.api_version})"
    return f"pods of a {kind} are not rolled: memroll supports {', '.join(sorted(ROLLED_KINDS))}"
