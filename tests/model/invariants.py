"""Invariants of rolls, checked at every write to the model.

The state that a step of memroll has read may change before its write, which no read can prevent. So a write violates an
invariant only if it did so at every time since the step began.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from tests.model.objects import (
    HASH_LABEL,
    Json,
    annotations_of,
    controller_uid,
    is_active,
    is_deleting,
    is_ready,
    labels_of,
    name_of,
    owners_of,
    selects,
    uid_of,
)
from tests.model.replicasets import choose_surplus

if TYPE_CHECKING:
    from tests.model.api_server import Write
    from tests.model.cluster import ModelCluster

PROCESS_PREFIX = "memroll-"
"""Prefix of the names of memroll's processes."""
RELEASED = "memroll-released"
DETACHED = "memroll-detached"
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
ANNOTATION_PREFIX = "memroll.dev/"
FINAL = ("Succeeded", "Failed", "Aborted")
NEXT_PHASES = {
    "": {"Announced", "CapturingEvidence", "Failed", "Aborted"},
    "Announced": {"CapturingEvidence", "Replacing", "Evicting", "Failed", "Aborted"},
    "CapturingEvidence": {"Replacing", "Evicting", "Failed", "Aborted"},
    "Replacing": {"Draining", "Evicting", "Verifying", "Succeeded", "Failed", "Aborted"},
    "Draining": {"Evicting", "Verifying", "Succeeded", "Failed", "Aborted"},
    "Evicting": {"Verifying", "Succeeded", "Failed", "Aborted"},
    "Verifying": {"Succeeded", "Failed", "Aborted"},
}
"""Phases that may follow each phase of a roll."""
TIMES = ("announced", "capturingEvidence", "replacing", "draining", "evicting", "verifying", "finished")
IMMUTABLE_FIELDS = ("podUID", "controller", "workloadUID", "readyBefore", "release", "restartedAt", "evidence")
"""Fields of a PodRoll's status that never change once they are set."""


class InvariantViolationError(AssertionError):
    """A write of memroll violates an invariant."""


@dataclass
class ObservedStep:
    """Current step of a process, and the most permissive state of the cluster since it began."""

    roll: str
    """Name of the PodRoll; empty while orphaned pods are restored."""
    terminating: frozenset[str]
    """Uids of pods that were terminating when the step began."""
    max_ready: dict[str, int] = field(default_factory=dict)
    """Maximum number of other Ready endpoints, by pod."""
    min_needed: dict[str, int] = field(default_factory=dict)
    """Minimum number of Ready endpoints that were required, by pod."""
    restorable: set[str] = field(default_factory=set)
    """Uids of pods whose restore would have cost no Ready pod at some time."""


class InvariantChecker:
    """Observer of all writes that checks those of memroll.

    `changed_pods`: uids of the pods that memroll has changed; `deletions`: actor and roll of the deletion, by pod.
    """

    def __init__(self, cluster: ModelCluster, namespace: str) -> None:
        self._cluster, self._namespace = cluster, namespace
        self._steps: dict[str, ObservedStep] = {}
        self.changed_pods: set[str] = set()
        self.deletions: dict[str, tuple[str, str]] = {}
        self._original_owners: dict[str, tuple[str, str]] = {}
        """Uids of the original ReplicaSet and Deployment, by pod."""
        cluster.server.observers.append(self._observe)
        self._record_owners()

    def begin(self, process: str, roll: str) -> None:
        deleted = frozenset(uid_of(p) for p in self._cluster.list_pods() if is_deleting(p))
        self._steps[process] = ObservedStep(roll, deleted)
        self._update_bounds(self._steps[process])

    def end(self, process: str) -> None:
        self._steps.pop(process, None)

    # Checks of writes.

    def _observe(self, write: Write) -> None:
        if write.plural == "pods" and write.verb == "create":
            self._record_owners()
        if write.plural == "pods" and write.verb in ("delete", "evict"):
            step = self._steps.get(write.actor)
            self.deletions.setdefault(write.uid, (write.actor, step.roll if step else ""))
        if write.actor.startswith(PROCESS_PREFIX):
            self._check(write, self._steps[write.actor])
        for step in self._steps.values():
            self._update_bounds(step)

    def _check(self, write: Write, step: ObservedStep) -> None:
        match write.plural, write.verb:
            case "podrolls", "status":
                _check_status(write)
            case "pods", "evict":
                self._check_eviction(write, step)
            case "pods", "update":
                self._check_patch(write, step)
            case "deployments", "update":
                _check_restart(write, self._roll(step))
            case "poddisruptionbudgets", "status":
                pass  # the API server's own record of an eviction
            case _:
                raise InvariantViolationError(f"memroll writes a {write.plural}: {write.verb}")

    def _check_eviction(self, write: Write, step: ObservedStep) -> None:
        assert write.before is not None
        self._check_own_pod(write.before, step)
        if write.uid in step.terminating:
            raise InvariantViolationError(f"{name_of(write.before)} is evicted twice")
        self._check_readiness(write.before, step)

    def _check_patch(self, write: Write, step: ObservedStep) -> None:
        before, after = write.before, write.after
        assert before is not None
        assert after is not None
        if _differing(annotations_of(before), annotations_of(after)) == {DELETION_COST}:
            self._check_marked_replacement(before, after, step)
            return
        self._check_own_pod(before, step)
        self.changed_pods.add(write.uid)
        _check_fields(before, after)
        if _is_left_to_workload(before, after):
            self._check_readiness(before, step)  # the garbage collector may delete the pod
        if labels_of(before).get(HASH_LABEL) == RELEASED != labels_of(after)[HASH_LABEL]:
            if write.uid not in step.restorable:
                raise InvariantViolationError(f"{name_of(before)} is restored at the cost of a Ready pod")
        elif not self._is_endpoint(after):
            self._check_readiness(before, step)

    def _check_marked_replacement(self, before: Json, after: Json, step: ObservedStep) -> None:
        """Check that a step marks only a pod that was created since its roll, and changes nothing else of it."""
        roll = self._roll(step)
        if roll is None or before["metadata"]["creationTimestamp"] < roll["metadata"]["creationTimestamp"]:
            raise InvariantViolationError(f"{name_of(before)} is marked, and replaces no pod")
        unmarked = [
            {**p, "metadata": p["metadata"] | {"annotations": 0, "resourceVersion": 0}} for p in (before, after)
        ]
        if unmarked[0] != unmarked[1]:
            raise InvariantViolationError(f"more of {name_of(before)} changes than its deletion cost")

    def _check_own_pod(self, pod: Json, step: ObservedStep) -> None:
        """Check that a step changes only the pod of its roll, and a restore only pods with traces of memroll."""
        roll = self._roll(step)
        if not step.roll:
            if not has_traces(pod):
                raise InvariantViolationError(
                    f"the restore of orphaned pods changes {name_of(pod)}, which has no trace"
                )
        elif roll is not None and uid_of(pod) != _pod_uid(roll):
            raise InvariantViolationError(f"{step.roll} changes {name_of(pod)}, which is not its pod")

    def _check_readiness(self, pod: Json, step: ObservedStep) -> None:
        """Check that a surge removes an endpoint only while there are enough others."""
        roll = self._roll(step)
        if roll is not None and (roll.get("status", {}).get("strategy") != "Surge" or self._is_other_pod_missing(roll)):
            return
        ready, needed = step.max_ready.get(uid_of(pod), 0), step.min_needed.get(uid_of(pod), 0)
        if self._is_endpoint(pod) and ready < needed:
            raise InvariantViolationError(
                f"{name_of(pod)} is removed with {ready} others Ready, and {needed} are required"
            )

    def _is_other_pod_missing(self, roll: Json) -> bool:
        """Return whether a roll waits for another pod than its own replacement, and its timeout has passed."""
        status = roll["status"]
        began = status.get("times", {}).get("replacing")
        if not began or self._cluster.server.now - datetime.fromisoformat(began) <= timedelta(
            seconds=roll["spec"]["replacementTimeoutSeconds"]
        ):
            return False
        own = status.get("replacement", {}).get("uid")
        return any(uid_of(p) == own and is_ready(p) for p in self._cluster.list_undeleted_pods())

    # Bounds since the beginning of a step.

    def _update_bounds(self, step: ObservedStep) -> None:
        roll = self._roll(step)
        uid = _pod_uid(roll) if roll is not None else ""
        for pod in self._cluster.list_pods():
            if uid_of(pod) == uid or (not step.roll and has_traces(pod)):
                self._update_pod_bounds(step, pod, roll)

    def _update_pod_bounds(self, step: ObservedStep, pod: Json, roll: Json | None) -> None:
        uid = uid_of(pod)
        others = [p for p in self._cluster.list_endpoints() if uid_of(p) != uid]
        needed = self.desired_replicas(uid)
        if roll is not None:
            needed = min(needed, int(roll.get("status", {}).get("readyBefore", needed)))
        step.max_ready[uid] = max(step.max_ready.get(uid, 0), len(others))
        step.min_needed[uid] = min(step.min_needed.get(uid, needed), needed)
        if not self._is_endpoint(pod) or self._ready_after_restore(pod) >= min(len(others) + 1, needed):
            step.restorable.add(uid)

    def _ready_after_restore(self, pod: Json) -> int:
        """Return the number of endpoints after the pod is adopted and its ReplicaSet has deleted surplus pods."""
        server, ready = self._cluster.server, self._cluster.list_endpoints()
        labels = labels_of(pod) | {HASH_LABEL: annotations_of(pod).get("memroll.dev/released-from", "")}
        for replica_set in server.list("replicasets", self._namespace):
            if selects(replica_set["spec"]["selector"], labels):
                active = [p for p in self._cluster.list_pods() if is_active(p) and uid_of(p) != uid_of(pod)]
                owned = [*(p for p in active if controller_uid(p) == uid_of(replica_set)), pod]
                surplus = len(owned) - int(replica_set["spec"]["replicas"])
                deleted = {uid_of(p) for p in choose_surplus(server, replica_set, owned, surplus)}
                return sum(1 for p in ready if uid_of(p) not in deleted)
        return len(ready)

    def desired_replicas(self, pod: str) -> int:
        """Return the replicas of a pod's original Deployment; 0 if it no longer exists."""
        deployments = self._cluster.server.list("deployments", self._namespace)
        return sum(
            int(d["spec"]["replicas"]) for d in deployments if uid_of(d) == self._original_owners.get(pod, ("", ""))[1]
        )

    def original_replica_set(self, pod: Json) -> str:
        """Return the uid of a pod's original ReplicaSet."""
        return self._original_owners.get(uid_of(pod), ("", ""))[0]

    def _record_owners(self) -> None:
        """Record the ReplicaSet and the Deployment of each pod, because a released pod has no reference to them."""
        sets = {uid_of(r): controller_uid(r) for r in self._cluster.server.list("replicasets", self._namespace)}
        for pod in self._cluster.list_pods():
            if controller_uid(pod) in sets:
                self._original_owners.setdefault(uid_of(pod), (controller_uid(pod), sets[controller_uid(pod)]))

    def _is_endpoint(self, pod: Json) -> bool:
        services = self._cluster.server.list("services", self._namespace)
        ready = is_ready(pod) and not is_deleting(pod)
        return ready and any(selects({"matchLabels": s["spec"]["selector"]}, labels_of(pod)) for s in services)

    def _roll(self, step: ObservedStep) -> Json | None:
        return self._cluster.server.get("podrolls", self._namespace, step.roll) if step.roll else None


def traces_of(pod: Json) -> list[str]:
    """Return the labels, annotations and owners of memroll on a pod."""
    found = [key for key in annotations_of(pod) if key.startswith(ANNOTATION_PREFIX)]
    found += [value for value in labels_of(pod).values() if value in (RELEASED, DETACHED)]
    return found + [o["kind"] for o in owners_of(pod) if _is_own_reference(o)]


def has_traces(pod: Json) -> bool:
    return bool(traces_of(pod))


def _pod_uid(roll: Json) -> str:
    return str(roll["spec"].get("podUID") or roll.get("status", {}).get("podUID", ""))


def _check_fields(before: Json, after: Json) -> None:
    """Check that only labels, memroll's own annotations and references to PodRolls change."""
    if before["spec"] != after["spec"] or before.get("status") != after.get("status"):
        raise InvariantViolationError("memroll changes more than metadata")
    for key in _differing(annotations_of(before), annotations_of(after)):
        if not key.startswith(ANNOTATION_PREFIX):
            raise InvariantViolationError(f"memroll changes the annotation {key}")
    for key in _differing(labels_of(before), labels_of(after)):
        if key != HASH_LABEL and DETACHED not in (labels_of(before).get(key), labels_of(after).get(key)):
            raise InvariantViolationError(f"memroll changes the label {key}")
    _check_owners(before, after)


def _check_owners(before: Json, after: Json) -> None:
    """Check that only references to PodRolls and to the workload change, and that a released pod has an owner."""
    foreign = [[o for o in owners_of(p) if not _is_own_reference(o)] for p in (before, after)]
    if foreign[0] != foreign[1]:
        raise InvariantViolationError("memroll changes an owner that is neither a PodRoll nor the workload")
    if _adds_workload(before, after) and labels_of(after)[HASH_LABEL] != RELEASED:
        raise InvariantViolationError("memroll makes a Deployment the owner of a pod that is not released")
    if labels_of(after)[HASH_LABEL] == RELEASED and not owners_of(after):
        raise InvariantViolationError("memroll leaves a released pod without an owner")


def _adds_workload(before: Json, after: Json) -> bool:
    return any(o["kind"] == "Deployment" for o in owners_of(after) if o not in owners_of(before))


def _is_left_to_workload(before: Json, after: Json) -> bool:
    """Return whether a pod that was released before gets its workload as an owner again."""
    return labels_of(before).get(HASH_LABEL) == RELEASED and _adds_workload(before, after)


def _is_own_reference(owner: Json) -> bool:
    return bool(owner["kind"] == "PodRoll" or (owner["kind"] == "Deployment" and not owner.get("controller")))


def _check_restart(write: Write, roll: Json | None) -> None:
    """Check that only a roll that restarts a workload changes it, and only by the restart annotation."""
    assert write.before is not None
    assert write.after is not None
    if roll is None or roll.get("status", {}).get("strategy") != "Restart":
        raise InvariantViolationError("memroll changes a Deployment")
    old, new = ({**obj["spec"]["template"]["metadata"]} for obj in (write.before, write.after))
    annotations = _differing(old.pop("annotations", {}), new.pop("annotations", {}))
    if annotations != {"kubectl.kubernetes.io/restartedAt"} or old != new:
        raise InvariantViolationError("memroll changes more than the restart annotation of a Deployment")


def _differing(a: dict[str, str], b: dict[str, str]) -> set[str]:
    return {k for k in a.keys() | b.keys() if a.get(k) != b.get(k)}


def _check_status(write: Write) -> None:
    """Check that a roll only advances, and that its immutable fields do not change."""
    assert write.before is not None
    assert write.after is not None
    old, new = write.before.get("status") or {}, write.after["status"]
    old_phase, new_phase = old.get("phase", ""), new.get("phase", "")
    if old_phase != new_phase and new_phase not in NEXT_PHASES.get(old_phase, ()):
        raise InvariantViolationError(f"a roll goes from {old_phase or 'nothing'} to {new_phase or 'nothing'}")
    for key in IMMUTABLE_FIELDS:
        is_fallback = key == "release" and (old.get("strategy"), new.get("strategy")) == ("Surge", "Evict")
        if old.get(key) and new.get(key) != old[key] and not is_fallback:
            raise InvariantViolationError(f"{key} changes from {old[key]} to {new.get(key)}")
    _check_times(old.get("times", {}), new.get("times", {}))


def _check_times(old: Json, new: Json) -> None:
    if any(new.get(field) != at for field, at in old.items()):
        raise InvariantViolationError(f"a recorded time changes: {old} to {new}")
    times = [datetime.fromisoformat(new[field]) for field in TIMES if field in new]
    if times != sorted(times):
        raise InvariantViolationError(f"times are not in order: {new}")
