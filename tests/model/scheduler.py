"""Scheduler: assigns pods to nodes with free capacity, and reports pods that fit on none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.model.objects import Json, name_of, node_of, phase_of, with_condition

if TYPE_CHECKING:
    from tests.model.api_server import ModelApiServer


def sync_all(server: ModelApiServer) -> None:
    with server.act_as("scheduler"):
        for pod in server.list("pods"):
            if not node_of(pod):
                _schedule(server, pod)


def _schedule(server: ModelApiServer, pod: Json) -> None:
    """Choose the node with the most free capacity; the names break ties."""
    capacity = {
        name_of(n): _free_capacity(server, n, pod) for n in server.list("nodes") if not n["spec"].get("unschedulable")
    }
    best = max(capacity, key=lambda name: capacity[name], default="")
    status = pod.get("status", {})
    if best and capacity[best] > 0:
        pod = server.set_status("pods", pod, with_condition(status, "PodScheduled", "True", server.timestamp()))
        server.update("pods", pod, {"spec": {"nodeName": best}})
        return
    message = f"0/{len(server.list('nodes'))} nodes are available: Too many pods."
    waiting = with_condition(status, "PodScheduled", "False", server.timestamp(), "Unschedulable", message)
    server.set_status("pods", pod, waiting)


def _free_capacity(server: ModelApiServer, node: Json, pod: Json) -> int:
    """Return the number of pods that a node still has room for; 0 if the pod's host port is in use there."""
    pods = [
        p for p in server.list("pods") if node_of(p) == name_of(node) and phase_of(p) not in ("Succeeded", "Failed")
    ]
    taken = {port for p in pods for port in _host_ports(p)}
    return 0 if taken & _host_ports(pod) else int(node["status"]["allocatable"]["pods"]) - len(pods)


def _host_ports(pod: Json) -> set[int]:
    return {port["hostPort"] for port in pod["spec"]["containers"][0].get("ports", ()) if "hostPort" in port}
