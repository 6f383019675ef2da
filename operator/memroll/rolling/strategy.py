"""Which strategy fits a pod, and why; or why the pod is not rolled at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from memroll.api.roll_spec import Strategy
from memroll.model.permissions import EVERYTHING

if TYPE_CHECKING:
    from memroll.model.permissions import Permits
    from memroll.model.pods import Target, Workload

ROLLED_KINDS = frozenset({"Deployment", "Rollout", "ReplicaSet", "StatefulSet", "DaemonSet"})


@dataclass(frozen=True, slots=True)
class Choice:
    """A strategy to use: never Auto."""

    strategy: Strategy
    reason: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """This pod can't be rolled this way, by anyone's wish."""

    reason: str


def choose(
    wanted: Strategy,
    target: Target,
    workload: Workload | None,
    permits: Permits = EVERYTHING,
    hash_selected_by: str = "",
) -> Choice | Refusal:
    """Pick the strategy for one pod.

    `hash_selected_by`: what selects the pod by its template hash, in words; a Surge changes that label.
    """
    if not permits.acting:
        return Refusal("memroll was installed without the right to act on pods")
    refusal = _unrollable(target, workload)
    if refusal or workload is None:
        return Refusal(refusal)
    if wanted is Strategy.RESTART:
        return _restart(workload, permits)
    if wanted is Strategy.EVICT:
        return Choice(Strategy.EVICT, "the policy asks for it")
    blocked = surge_blocked_by(target, workload, permits, hash_selected_by)
    if not blocked:
        return Choice(Strategy.SURGE, "the replacement can be Ready before the pod leaves")
    if wanted is Strategy.SURGE:
        return Refusal(f"the policy asks for Surge, but {blocked}")
    return _recreate(workload, permits) if workload.recreates else Choice(Strategy.EVICT, blocked)


def would_surge(wanted: Strategy, target: Target, workload: Workload | None, permits: Permits = EVERYTHING) -> bool:
    """Whether the choice is a Surge, as far as it does not depend on what selects the pod."""
    choice = choose(wanted, target, workload, permits)
    return isinstance(choice, Choice) and choice.strategy is Strategy.SURGE


def surge_blocked_by(target: Target, workload: Workload, permits: Permits, hash_selected_by: str) -> str:
    """Say why the pod can't be replaced before it leaves, or return nothing."""
    if workload.recreates:
        return _never_two(workload)
    if not permits.surge:
        return "memroll was installed without the right to surge"
    if not workload.hash_label:
        return f"a {workload.top.kind} has no template hash by which a pod could be released"
    if not target.labels.get(workload.hash_label):
        return f"the pod has no label {workload.hash_label}"
    if target.pinned_by:
        return f"a second copy can't run beside the pod: {target.pinned_by}"
    return workload.surge_refused or hash_selected_by


def _unrollable(target: Target, workload: Workload | None) -> str:
    if target.mirror:
        return "a static pod is owned by its node's kubelet: the API server can't evict it"
    if workload is None:
        return "a pod without a controller would not come back: run it by a Deployment or StatefulSet"
    if workload.top.kind not in ROLLED_KINDS:
        return f"pods of a {workload.top.kind} are not rolled: one that ends early would lose its work"
    return ""


def _restart(workload: Workload, permits: Permits) -> Choice | Refusal:
    blocked = _restart_blocked_by(workload, permits)
    if blocked:
        return Refusal(f"the policy asks for Restart, but {blocked}")
    return Choice(Strategy.RESTART, "the policy asks for it")


def _restart_blocked_by(workload: Workload, permits: Permits) -> str:
    if not permits.restart:
        return "memroll was installed without the right to restart workloads"
    if workload.top.kind == "ReplicaSet":
        return f"nothing restarts the pods of a bare {workload.top}"
    return f"{workload.top} is paused" if workload.paused else ""


def _recreate(workload: Workload, permits: Permits) -> Choice | Refusal:
    """Have the controller end the old pods first. After an eviction two would run: a ReplicaSet does not wait."""
    blocked = _restart_blocked_by(workload, permits)
    if blocked:
        remedy = "set restart.enabled in the chart" if not permits.restart else "resume it"
        return Refusal(f"{_never_two(workload)}, and {blocked}: {remedy}, or roll.strategy: Evict")
    return Choice(Strategy.RESTART, _never_two(workload))


def _never_two(workload: Workload) -> str:
    return f"{workload.top} has strategy Recreate (two of its pods must never run at once)"
