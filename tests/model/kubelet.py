"""Kubelet: pods start, become Ready or not, crash, and end. Each call advances each pod by one step."""

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
    from tests.model.api_server import ModelApiServer


@dataclass
class Kubelet:
    """Kubelets of all nodes. `new_pod_image`: image that pods started from now on behave like, instead of their own."""

    new_pod_image: str = ""
    images: dict[str, str] = field(default_factory=dict)
    """Image that a pod behaves like, by uid."""
    unready: set[str] = field(default_factory=set)
    """Uids of pods whose readiness probe fails."""
    stuck: set[str] = field(default_factory=set)
    """Uids of pods that never finish terminating, as on a lost node or with a finalizer."""

    def sync_all(self, server: ModelApiServer) -> None:
        with server.act_as("kubelet"):
            for pod in server.list("pods"):
                if is_deleting(pod):
                    if uid_of(pod) not in self.stuck:
                        server.remove("pods", pod)
                elif node_of(pod):
                    server.set_status("pods", pod, self._status(server, pod))

    def _status(self, server: ModelApiServer, pod: Json) -> Json:
        status, at = pod.get("status", {}), server.timestamp()
        image = self.images.setdefault(uid_of(pod), self.new_pod_image or image_of(pod))
        if image == MISSING:
            return {**status, "containerStatuses": [_waiting("ImagePullBackOff")]}
        if phase_of(pod) == "Pending":
            running = status | {"phase": "Running", "containerStatuses": [_running(uid_of(pod), at, 0)]}
            return with_condition(running, "Ready", "False", at, "ContainersNotReady")
        if image == CRASHING:
            restarts = min(restarts_of(pod) + 1, 5)
            crashed = status | {"containerStatuses": [_waiting("CrashLoopBackOff", restarts)]}
            return with_condition(crashed, "Ready", "False", at, "ContainersNotReady")
        is_ready = image != NEVER_READY and uid_of(pod) not in self.unready and _are_gates_open(pod)
        return with_condition(
            status, "Ready", "True" if is_ready else "False", at, "" if is_ready else "ContainersNotReady"
        )

    def restart_container(self, server: ModelApiServer, pod: Json) -> None:
        """Kill the container of a pod; it is Ready again after the next step."""
        status = pod.get("status", {})
        again = status | {"containerStatuses": [_running(uid_of(pod), server.timestamp(), restarts_of(pod) + 1)]}
        server.set_status(
            "pods", pod, with_condition(again, "Ready", "False", server.timestamp(), "ContainersNotReady")
        )


def _are_gates_open(pod: Json) -> bool:
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
