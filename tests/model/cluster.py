"""Model of a cluster in memory: its API server and its controllers.

Each controller runs once when it is called, so that a test can delay any of them. There are Deployments with rolling
updates, ReplicaSets, a scheduler with a capacity of pods, kubelets, quotas, PodDisruptionBudgets, evictions and the
garbage collector. `tests/e2e/test_model.py` compares the model with a real cluster.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.model import budgets, deployments, garbage_collector, replicasets, scheduler
from tests.model.api_server import ModelApiServer
from tests.model.kubelet import Kubelet
from tests.model.objects import is_deleting, is_ready, labels_of, namespace, node, selects

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.model.objects import Json

NAMESPACE = "demo"
MAX_ROUNDS = 200


@dataclass
class ModelCluster:
    """Cluster with one namespace."""

    server: ModelApiServer = field(default_factory=ModelApiServer)
    kubelet: Kubelet = field(default_factory=Kubelet)

    @classmethod
    def with_nodes(cls, *pods: int) -> ModelCluster:
        """Return a cluster with one node for each capacity in pods."""
        made = cls()
        made.server.create("namespaces", "", namespace(NAMESPACE))
        for number, capacity in enumerate(pods):
            made.server.create("nodes", "", node(f"node-{number}", capacity))
        return made

    @property
    def controllers(self) -> dict[str, Callable[[ModelApiServer], None]]:
        """Controllers by name, in an order in which one round propagates a change far."""
        return {
            "deployment": deployments.sync_all,
            "replicaset": replicasets.sync_all,
            "garbage": garbage_collector.sync_all,
            "scheduler": scheduler.sync_all,
            "kubelet": self.kubelet.sync_all,
            "disruption": budgets.sync_all,
        }

    def run_controller(self, controller: str) -> None:
        self.controllers[controller](self.server)

    def run_round(self, seconds: float = 1.0) -> None:
        """Run every controller once, and advance the clock."""
        self.server.seconds += seconds
        for controller in self.controllers.values():
            controller(self.server)

    def settle(self) -> None:
        """Run rounds until no controller changes anything."""
        for _ in range(MAX_ROUNDS):
            before = self.server.version
            self.run_round()
            if self.server.version == before:
                return
        raise AssertionError("the cluster does not settle")

    def list_pods(self) -> list[Json]:
        return self.server.list("pods", NAMESPACE)

    def list_undeleted_pods(self) -> list[Json]:
        return [p for p in self.list_pods() if not is_deleting(p)]

    def list_endpoints(self) -> list[Json]:
        """Return the endpoints of the Service."""
        services = self.server.list("services", NAMESPACE)
        ready = [p for p in self.list_undeleted_pods() if is_ready(p)]
        return [
            p for p in ready if any(selects({"matchLabels": s["spec"]["selector"]}, labels_of(p)) for s in services)
        ]
