"""The scheduler: puts pods on nodes while there is room, and says so where there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.model.objects import Json, name_of, node_of, phase_of, with_condition

if TYPE_CHECKING:
    from tests.model.server import Server


def sync_all(server: Server) -> None:
    with server.acting("scheduler"):
        for pod in server.list("pods"):
            if not node_of(pod):
                _place(server, pod)


def _place(server: Server, pod: Json) -> None:
    """Take the node with the most room; the names break ties."""
    room = {name_of(n): _room(server, n, pod) for n in server.list("nodes") if not n["spec"].get("unschedulable")}
    best = max(room, key=lambda name: room[name], default="")
    status = pod.get("status", {})
    if best and room[best] > 0:
        pod = server.set_status("pods", pod, with_condition(status, "PodScheduled", "True", server.stamp()))
        server.update("pods", pod, {"spec": {"nodeName": best}})
        return
    message = f"0/{len(server.list('nodes'))} nodes are available: Too many pods."
    waiting = with_condition(status, "PodScheduled", "False", server.stamp(), "Unschedulable", message)
    server.set_status("pods", pod, waiting)


def _room(server: Server, node: Json, pod: Json) -> int:
    """Return how many pods a node can still take; none when the pod's host port is taken there."""
    there = [
        p for p in server.list("pods") if node_of(p) == name_of(node) and phase_of(p) not in ("Succeeded", "Failed")
    ]
    taken = {port for p in there for port in _host_ports(p)}
    return 0 if taken & _host_ports(pod) else int(node["status"]["allocatable"]["pods"]) - len(there)


def _host_ports(pod: Json) -> set[int]:
    return {port["hostPort"] for port in pod["spec"]["containers"][0].get("ports", ()) if "hostPort" in port}
