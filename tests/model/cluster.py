"""A cluster in memory: its API server, its controllers, and what people and machines do to it.

Nothing happens by itself: each controller looks once when it is called, so that any of them may lag behind the
others for as long as a test wants. It knows what memroll meets: Deployments with rolling updates, ReplicaSets,
a scheduler with room for so many pods, kubelets, quotas, PodDisruptionBudgets, evictions and the garbage collector.
`tests/e2e/test_model.py` compares it with a real cluster.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.model import budgets, deployments, garbage, replicasets, scheduler
from tests.model.kubelet import Kubelet
from tests.model.objects import is_deleting, is_ready, labels_of, namespace, node, selects
from tests.model.server import Server

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.model.objects import Json

NAMESPACE = "demo"
ROUNDS_MAX = 200


@dataclass
class ModelCluster:
    """One namespace on some nodes."""

    server: Server = field(default_factory=Server)
    kubelet: Kubelet = field(default_factory=Kubelet)

    @classmethod
    def with_room_for(cls, *pods: int) -> ModelCluster:
        """Return a cluster with one node for each number of pods."""
        made = cls()
        made.server.create("namespaces", "", namespace(NAMESPACE))
        for number, room in enumerate(pods):
            made.server.create("nodes", "", node(f"node-{number}", room))
        return made

    @property
    def controllers(self) -> dict[str, Callable[[Server], None]]:
        """What looks after the cluster, each by its name, in an order in which a change gets far in one round."""
        return {
            "deployment": deployments.sync_all,
            "replicaset": replicasets.sync_all,
            "garbage": garbage.sync_all,
            "scheduler": scheduler.sync_all,
            "kubelet": self.kubelet.sync_all,
            "disruption": budgets.sync_all,
        }

    def run(self, controller: str) -> None:
        self.controllers[controller](self.server)

    def round(self, seconds: float = 1.0) -> None:
        """Let every controller look once, and some time pass."""
        self.server.seconds += seconds
        for controller in self.controllers.values():
            controller(self.server)

    def settle(self) -> None:
        """Let the controllers work until none has anything to do."""
        for _ in range(ROUNDS_MAX):
            before = self.server.version
            self.round()
            if self.server.version == before:
                return
        raise AssertionError("the cluster does not come to rest")

    def pods(self) -> list[Json]:
        return self.server.list("pods", NAMESPACE)

    def living(self) -> list[Json]:
        return [p for p in self.pods() if not is_deleting(p)]

    def endpoints(self) -> list[Json]:
        """Return the pods that get the Service's connections."""
        services = self.server.list("services", NAMESPACE)
        chosen = [p for p in self.living() if is_ready(p)]
        return [
            p for p in chosen if any(selects({"matchLabels": s["spec"]["selector"]}, labels_of(p)) for s in services)
        ]
