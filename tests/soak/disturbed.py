"""What users and the cluster do in the middle of a surge: between the release of the old pod and a Ready replacement.

Scaling stands for the HorizontalPodAutoscaler, which does nothing else to a workload; a real one would need
metrics-server, which the local cluster does not have.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from memroll_demo.site import CommandError
from tests.soak.outcome import Case
from tests.soak.stage import FINAL, is_deleting, is_ready, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.soak.kube import Json
    from tests.soak.stage import Stage

STRICT = {"minAvailable": "100%"}
SLOW = {"READY_AFTER_S": "6"}
"""A replacement takes this long to become Ready, which leaves time for a disturbance."""
DRAIN_TIMEOUT = "45s"
CORDON_S = 20
"""No longer: other namespaces need the node, too."""


def mid_surge(
    stage: Stage, replicas: int, budget: Json | None = None, change: Callable[[Json], None] | None = None
) -> str:
    """Deploy, roll the oldest pod and return the roll's name once it is in mid-surge."""
    stage.deploy(replicas, budget or STRICT, change, env=SLOW)
    stage.load()
    roll = stage.roll(stage.oldest())
    stage.surging(roll)
    return roll


def rollout(replicas: int, stage: Stage) -> None:
    """A new version is rolled out: it replaces the replacement, too."""
    roll = mid_surge(stage, replicas)
    stage.set_env("VERSION", "2")
    stage.ended(roll)
    pods = stage.settled(replicas)
    for pod in pods:
        names = {e["name"] for e in pod["spec"]["containers"][0]["env"]}
        assert "VERSION" in names, f"{pod['metadata']['name']} is of the old version"


def scaled(replicas: int, to: int, stage: Stage) -> None:
    roll = mid_surge(stage, replicas)
    stage.scale(to)
    stage.ended(roll)
    stage.settled(to)


def drained(stage: Stage) -> None:
    """The node is drained: the old pod and the others are evicted, and nothing can be scheduled for a while.

    Without --force kubectl refuses all of it while a pod has no controller, as a released pod has none.
    """

    def own(template: Json) -> None:
        template["metadata"]["labels"]["drained"] = stage.namespace  # kubectl drain selects in all namespaces

    roll = mid_surge(stage, 3, {"minAvailable": 2}, own)
    first = {p["metadata"]["uid"] for p in stage.pods()}
    (node,) = (n["metadata"]["name"] for n in stage.kube.list("nodes", ""))
    command = ["drain", node, "--force", "--pod-selector", f"drained={stage.namespace}", "--timeout", DRAIN_TIMEOUT]
    draining = threading.Thread(target=_kubectl, args=(stage, *command))
    try:
        draining.start()
        until("a pod that the drain took", lambda: _taken(stage, first), CORDON_S)
        until("a pod that can't be scheduled", lambda: any(map(is_waiting, stage.pods())), CORDON_S)
    finally:
        stage.site.kubectl("uncordon", node)
        draining.join()
        stage.site.kubectl("uncordon", node)
    stage.ended(roll)
    stage.settled(3)


def _kubectl(stage: Stage, *arguments: str) -> None:
    try:
        stage.site.kubectl(*arguments)
    except CommandError:
        return  # the budget lets it take one pod after the other; what it did not reach in time is left


def is_waiting(pod: Json) -> bool:
    return not pod["spec"].get("nodeName")


def _taken(stage: Stage, first: set[str]) -> bool:
    return bool(first - {p["metadata"]["uid"] for p in stage.pods() if not is_deleting(p)})


def deleted_early(stage: Stage) -> None:
    """The PodRoll is deleted while the replacement is not Ready: the old pod, which works, is put back."""
    roll = mid_surge(stage, 1)
    old = stage.oldest()["metadata"]["uid"]
    stage.kube.delete("podrolls", stage.namespace, roll)
    (left,) = stage.settled(1)
    assert left["metadata"]["uid"] == old, "the working pod was given up"


def deleted_late(stage: Stage) -> None:
    """The PodRoll is deleted when the replacement is Ready and a budget still holds the eviction."""
    stage.deploy(1, {"minAvailable": 2}, env=SLOW)
    stage.load()
    old = stage.oldest()["metadata"]["uid"]
    roll = stage.roll(stage.oldest())
    until("an eviction that is held", lambda: stage.phase(roll) in ("Evicting", *FINAL) and owned(stage, roll))
    assert stage.phase(roll) == "Evicting", stage.status(roll)
    assert sum(is_ready(p) for p in stage.pods()) == 2
    stage.kube.delete("podrolls", stage.namespace, roll)
    (left,) = stage.settled(1)
    assert left["metadata"]["uid"] != old, "the pod that was to go stayed, and its replacement went"


def owned(stage: Stage, roll: str) -> bool:
    owners = (o for p in stage.pods() for o in p["metadata"].get("ownerReferences", []))
    return any(o["kind"] == "PodRoll" and o["name"] == roll for o in owners)


def vetoed(stage: Stage) -> None:
    roll = mid_surge(stage, 1)
    old = stage.oldest()["metadata"]["uid"]
    stage.kube.patch("podrolls", stage.namespace, roll, {"spec": {"veto": True}})
    status = stage.ended(roll)
    assert status["phase"] == "Aborted", status
    (left,) = stage.settled(1)
    assert left["metadata"]["uid"] == old, "the working pod was given up"


CASES = [
    Case("rollout-1", lambda stage, _: rollout(1, stage)),
    Case("rollout-3", lambda stage, _: rollout(3, stage)),
    Case("scaled-up", lambda stage, _: scaled(1, 3, stage)),
    Case("scaled-down", lambda stage, _: scaled(3, 1, stage)),
    Case("scaled-to-zero", lambda stage, _: scaled(1, 0, stage), lossless=False),
    Case("node-drained", lambda stage, _: drained(stage), alone=True),
    Case("rolls-deleted-early", lambda stage, _: deleted_early(stage)),
    Case("rolls-deleted-late", lambda stage, _: deleted_late(stage)),
    Case("vetoed", lambda stage, _: vetoed(stage)),
]
