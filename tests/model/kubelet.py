"""The kubelet: pods start, become Ready or do not, crash, and end. Each call moves each pod one step on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.model.objects import (
    CRASHING,
    MISSING,
    NEVER_READY,
    Json,
    condition_of,
    image_of,
    is_deleting,
    node_of,
    phase_of,
    restarts_of,
    uid_of,
    with_condition,
)

if TYPE_CHECKING:
    from tests.model.server import Server


@dataclass
class Kubelet:
    """The kubelets of all nodes. `newcomers`: what comes of pods that start from now on, whatever their image."""

    newcomers: str = ""
    fates: dict[str, str] = field(default_factory=dict)
    """By the uid of a pod: the image that it behaves like."""
    sick: set[str] = field(default_factory=set)
    """The uids of pods whose readiness probe fails."""

    def sync_all(self, server: Server) -> None:
        with server.acting("kubelet"):
            for pod in server.list("pods"):
                if is_deleting(pod):
                    server.remove("pods", pod)
                elif node_of(pod):
                    server.set_status("pods", pod, self._status(server, pod))

    def _status(self, server: Server, pod: Json) -> Json:
        status, at = pod.get("status", {}), server.stamp()
        fate = self.fates.setdefault(uid_of(pod), self.newcomers or image_of(pod))
        if fate == MISSING:
            return {**status, "containerStatuses": [_waiting("ImagePullBackOff")]}
        if phase_of(pod) == "Pending":
            running = status | {"phase": "Running", "containerStatuses": [_running(uid_of(pod), at, 0)]}
            return with_condition(running, "Ready", "False", at, "ContainersNotReady")
        if fate == CRASHING:
            restarts = min(restarts_of(pod) + 1, 5)
            crashed = status | {"containerStatuses": [_waiting("CrashLoopBackOff", restarts)]}
            return with_condition(crashed, "Ready", "False", at, "ContainersNotReady")
        up = fate != NEVER_READY and uid_of(pod) not in self.sick and _gates_open(pod)
        return with_condition(status, "Ready", "True" if up else "False", at, "" if up else "ContainersNotReady")

    def restart(self, server: Server, pod: Json) -> None:
        """Let the container of a pod be killed; it is back at the next step."""
        status = pod.get("status", {})
        again = status | {"containerStatuses": [_running(uid_of(pod), server.stamp(), restarts_of(pod) + 1)]}
        server.set_status("pods", pod, with_condition(again, "Ready", "False", server.stamp(), "ContainersNotReady"))


def _gates_open(pod: Json) -> bool:
    gates = [g["conditionType"] for g in pod["spec"].get("readinessGates", ())]
    return all(condition_of(pod, gate).get("status") == "True" for gate in gates)


def _waiting(reason: str, restarts: int = 0) -> Json:
    return {"name": "chat", "restartCount": restarts, "state": {"waiting": {"reason": reason}}}


def _running(uid: str, at: str, restarts: int) -> Json:
    container = f"containerd://{uid}-{restarts}"
    return {
        "name": "chat",
        "restartCount": restarts,
        "containerID": container,
        "state": {"running": {"startedAt": at}},
    }
