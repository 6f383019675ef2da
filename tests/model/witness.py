"""The witness: sees every write to the model, and says at once when memroll did what it must never do.

What memroll decided on may have changed before its write lands, and no reading can help that. So an act counts
as wrong only if it was wrong at every moment since its step began.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
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
from tests.model.replicasets import to_delete

if TYPE_CHECKING:
    from tests.model.cluster import ModelCluster
    from tests.model.server import Change

MEMROLL = "memroll-"
"""How the names of memroll's processes begin."""
RELEASED = "memroll-released"
DETACHED = "memroll-detached"
MARK = "memroll.dev/"
FINAL = ("Succeeded", "Failed", "Aborted")
NEXT = {
    "": {"Announced", "Failed", "Aborted"},
    "Announced": {"CapturingEvidence", "Replacing", "Evicting", "Failed", "Aborted"},
    "CapturingEvidence": {"Replacing", "Evicting", "Failed", "Aborted"},
    "Replacing": {"Draining", "Evicting", "Verifying", "Succeeded", "Failed", "Aborted"},
    "Draining": {"Evicting", "Verifying", "Failed", "Aborted"},
    "Evicting": {"Verifying", "Failed", "Aborted"},
    "Verifying": {"Succeeded", "Failed"},
}
"""Where a roll may go from each of its phases."""
TIMES = ("announced", "capturingEvidence", "replacing", "draining", "evicting", "verifying", "finished")
FIXED = ("podUID", "controller", "workloadUID", "readyBefore", "release", "restartedAt", "evidence")
"""What a record says once and for all."""


class WrongError(AssertionError):
    """memroll did what it must never do."""


@dataclass
class Step:
    """What a process is doing, and the best that the cluster showed for it since it began."""

    roll: str
    """Empty for a sweep."""
    leaving: frozenset[str]
    """The pods that were going already."""
    most_ready: dict[str, int] = field(default_factory=dict)
    """By pod: how many others were Ready at best."""
    least_needed: dict[str, int] = field(default_factory=dict)
    could_return: set[str] = field(default_factory=set)
    """Pods whose return to their ReplicaSet would have cost nothing."""


class Witness:
    """Looks on. `touched`: the pods that memroll has changed; `ended`: who ended each pod, and in which roll."""

    def __init__(self, cluster: ModelCluster, namespace: str) -> None:
        self._cluster, self._namespace = cluster, namespace
        self._steps: dict[str, Step] = {}
        self.touched: set[str] = set()
        self.ended: dict[str, tuple[str, str]] = {}
        self._homes: dict[str, tuple[str, str]] = {}
        """By pod: the uids of its ReplicaSet and its Deployment."""
        cluster.server.watchers.append(self._see)
        self._remember()

    def begin(self, process: str, roll: str) -> None:
        going = frozenset(uid_of(p) for p in self._cluster.pods() if is_deleting(p))
        self._steps[process] = Step(roll, going)
        self._weigh(self._steps[process])

    def end(self, process: str) -> None:
        self._steps.pop(process, None)

    # what is seen

    def _see(self, change: Change) -> None:
        if change.plural == "pods" and change.verb == "create":
            self._remember()
        if change.plural == "pods" and change.verb in ("delete", "evict"):
            step = self._steps.get(change.actor)
            self.ended.setdefault(change.uid, (change.actor, step.roll if step else ""))
        if change.actor.startswith(MEMROLL):
            self._judge(change, self._steps[change.actor])
        for step in self._steps.values():
            self._weigh(step)

    def _judge(self, change: Change, step: Step) -> None:
        match change.plural, change.verb:
            case "podrolls", "status":
                _judge_record(change)
            case "pods", "evict":
                self._judge_eviction(change, step)
            case "pods", "update":
                self._judge_patch(change, step)
            case "deployments", "update":
                _judge_restart(change, self._roll(step))
            case "poddisruptionbudgets", "status":
                pass  # the API server's own note of an eviction
            case _:
                raise WrongError(f"memroll writes a {change.plural}: {change.verb}")

    def _judge_eviction(self, change: Change, step: Step) -> None:
        assert change.before is not None
        self._own_pod(change.before, step)
        if change.uid in step.leaving:
            raise WrongError(f"{name_of(change.before)} is evicted twice")
        self._keep_ready(change.before, step)

    def _judge_patch(self, change: Change, step: Step) -> None:
        before, after = change.before, change.after
        assert before is not None
        assert after is not None
        self._own_pod(before, step)
        self.touched.add(change.uid)
        _judge_fields(before, after)
        if labels_of(before).get(HASH_LABEL) == RELEASED != labels_of(after)[HASH_LABEL]:
            if change.uid not in step.could_return:
                raise WrongError(f"{name_of(before)} is put back, and that costs a Ready pod")
        elif not self._is_endpoint(after):
            self._keep_ready(before, step)

    def _own_pod(self, pod: Json, step: Step) -> None:
        """Demand that a step touches the pod of its roll, and a sweep only what is marked."""
        roll = self._roll(step)
        if not step.roll:
            if not is_marked(pod):
                raise WrongError(f"a sweep touches {name_of(pod)}, which bears no mark")
        elif roll is not None and uid_of(pod) != _pod_uid(roll):
            raise WrongError(f"{step.roll} touches {name_of(pod)}, which is not its pod")

    def _keep_ready(self, pod: Json, step: Step) -> None:
        """Demand that a surge takes an endpoint only while there are enough others."""
        roll = self._roll(step)
        if roll is not None and roll.get("status", {}).get("strategy") != "Surge":
            return
        ready, needed = step.most_ready.get(uid_of(pod), 0), step.least_needed.get(uid_of(pod), 0)
        if self._is_endpoint(pod) and ready < needed:
            raise WrongError(f"{name_of(pod)} is taken away with {ready} others Ready, and {needed} are needed")

    # the cluster's best moments

    def _weigh(self, step: Step) -> None:
        roll = self._roll(step)
        uid = _pod_uid(roll) if roll is not None else ""
        for pod in self._cluster.pods():
            if uid_of(pod) == uid or (not step.roll and is_marked(pod)):
                self._weigh_pod(step, pod, roll)

    def _weigh_pod(self, step: Step, pod: Json, roll: Json | None) -> None:
        uid = uid_of(pod)
        others = [p for p in self._cluster.endpoints() if uid_of(p) != uid]
        needed = self.wanted(uid)
        if roll is not None:
            needed = min(needed, int(roll.get("status", {}).get("readyBefore", needed)))
        step.most_ready[uid] = max(step.most_ready.get(uid, 0), len(others))
        step.least_needed[uid] = min(step.least_needed.get(uid, needed), needed)
        if not self._is_endpoint(pod) or self._ready_after_return(pod) >= min(len(others) + 1, needed):
            step.could_return.add(uid)

    def _ready_after_return(self, pod: Json) -> int:
        """Count the endpoints when the pod has been adopted again and its ReplicaSet has dropped what is too much."""
        server, ready = self._cluster.server, self._cluster.endpoints()
        labels = labels_of(pod) | {HASH_LABEL: annotations_of(pod).get("memroll.dev/released-from", "")}
        for replica_set in server.list("replicasets", self._namespace):
            if selects(replica_set["spec"]["selector"], labels):
                active = [p for p in self._cluster.pods() if is_active(p) and uid_of(p) != uid_of(pod)]
                owned = [*(p for p in active if controller_uid(p) == uid_of(replica_set)), pod]
                surplus = len(owned) - int(replica_set["spec"]["replicas"])
                going = {uid_of(p) for p in to_delete(server, replica_set, owned, surplus)}
                return sum(1 for p in ready if uid_of(p) not in going)
        return len(ready)

    def wanted(self, pod: str) -> int:
        """Return how many pods the Deployment wants that a pod was of: none, when that one is gone."""
        tops = self._cluster.server.list("deployments", self._namespace)
        return sum(int(d["spec"]["replicas"]) for d in tops if uid_of(d) == self._homes.get(pod, ("", ""))[1])

    def home_of(self, pod: Json) -> str:
        """Return the uid of the ReplicaSet that a pod was of at first."""
        return self._homes.get(uid_of(pod), ("", ""))[0]

    def _remember(self) -> None:
        """Note what each pod belongs to: whoever releases it makes it forget."""
        sets = {uid_of(r): controller_uid(r) for r in self._cluster.server.list("replicasets", self._namespace)}
        for pod in self._cluster.pods():
            if controller_uid(pod) in sets:
                self._homes.setdefault(uid_of(pod), (controller_uid(pod), sets[controller_uid(pod)]))

    def _is_endpoint(self, pod: Json) -> bool:
        services = self._cluster.server.list("services", self._namespace)
        ready = is_ready(pod) and not is_deleting(pod)
        return ready and any(selects({"matchLabels": s["spec"]["selector"]}, labels_of(pod)) for s in services)

    def _roll(self, step: Step) -> Json | None:
        return self._cluster.server.get("podrolls", self._namespace, step.roll) if step.roll else None


def marks_of(pod: Json) -> list[str]:
    """Return the traces of memroll that a pod bears."""
    found = [key for key in annotations_of(pod) if key.startswith(MARK)]
    found += [value for value in labels_of(pod).values() if value in (RELEASED, DETACHED)]
    return found + [o["kind"] for o in owners_of(pod) if o["kind"] == "PodRoll"]


def is_marked(pod: Json) -> bool:
    return bool(marks_of(pod))


def _pod_uid(roll: Json) -> str:
    return str(roll["spec"].get("podUID") or roll.get("status", {}).get("podUID", ""))


def _judge_fields(before: Json, after: Json) -> None:
    """Demand that only labels, memroll's own annotations and references to PodRolls change."""
    if before["spec"] != after["spec"] or before.get("status") != after.get("status"):
        raise WrongError("memroll changes more than metadata")
    for key in _differing(annotations_of(before), annotations_of(after)):
        if not key.startswith(MARK):
            raise WrongError(f"memroll changes the annotation {key}")
    for key in _differing(labels_of(before), labels_of(after)):
        if key != HASH_LABEL and DETACHED not in (labels_of(before).get(key), labels_of(after).get(key)):
            raise WrongError(f"memroll changes the label {key}")
    if [o for o in owners_of(before) if o["kind"] != "PodRoll"] != [
        o for o in owners_of(after) if o["kind"] != "PodRoll"
    ]:
        raise WrongError("memroll changes an owner that is not a PodRoll")


def _judge_restart(change: Change, roll: Json | None) -> None:
    """Demand that a workload is only changed by a roll that restarts it, and only by the mark that restarts it."""
    assert change.before is not None
    assert change.after is not None
    if roll is None or roll.get("status", {}).get("strategy") != "Restart":
        raise WrongError("memroll changes a Deployment")
    old, new = ({**obj["spec"]["template"]["metadata"]} for obj in (change.before, change.after))
    marks = _differing(old.pop("annotations", {}), new.pop("annotations", {}))
    if marks != {"kubectl.kubernetes.io/restartedAt"} or old != new:
        raise WrongError("memroll changes more than the mark that restarts a Deployment")


def _differing(a: dict[str, str], b: dict[str, str]) -> set[str]:
    return {k for k in a.keys() | b.keys() if a.get(k) != b.get(k)}


def _judge_record(change: Change) -> None:
    """Demand that a record only goes forward, and that what it says once stays said."""
    assert change.before is not None
    assert change.after is not None
    old, new = change.before.get("status") or {}, change.after["status"]
    was, now = old.get("phase", ""), new.get("phase", "")
    if was != now and now not in NEXT.get(was, ()):
        raise WrongError(f"a roll goes from {was or 'nothing'} to {now or 'nothing'}")
    for key in FIXED:
        fallen = key == "release" and (old.get("strategy"), new.get("strategy")) == ("Surge", "Evict")
        if old.get(key) and new.get(key) != old[key] and not fallen:
            raise WrongError(f"{key} changes from {old[key]} to {new.get(key)}")
    _judge_times(old.get("times", {}), new.get("times", {}))


def _judge_times(old: Json, new: Json) -> None:
    if any(new.get(word) != at for word, at in old.items()):
        raise WrongError(f"a time that was recorded changes: {old} to {new}")
    known = [datetime.fromisoformat(new[word]) for word in TIMES if word in new]
    if known != sorted(known):
        raise WrongError(f"times go backwards: {new}")
