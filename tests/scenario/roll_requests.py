"""Counts the API requests of one roll: the real clients and the real controller over the model of a cluster.

The clock is virtual: each second the model's controllers run once, and the roll is reconciled when it is due, or when
the watch of its pods wakes it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from memroll.api.pod_roll import PodRoll
from memroll.api.policy import MemoryPolicy
from memroll.clients.kube.cluster import KubeCluster
from memroll.clients.kube.custom_resources import METADATA_ONLY
from memroll.clients.kube.pod_watch import PodChange
from memroll.clients.kube.pods import decode_pod
from memroll.clients.kube.recent_replica_sets import RecentReplicaSets
from memroll.controller.key import Key
from memroll.controller.pod_watches import PodWatches, Watched
from memroll.reconcile.step_memory import CreatedRoll
from tests.builders import at, policy_json
from tests.fakes import FakePrometheus
from tests.model.api_client import ModelApi
from tests.model.cluster import NAMESPACE, ModelCluster
from tests.model.objects import budget, deployment, is_deleting, labels_of, name_of, selects, service, uid_of
from tests.scenario.simulation import controllers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from memroll.clients.kube.api_client import ApiRequest, ApiResponse
    from tests.model.objects import Json

SELECTED = {"matchLabels": {"app": "chat"}}
ROLL = Key(NAMESPACE, "roll-1")
MAX_S = 7200
"""Maximum length of a roll in seconds; a longer one does not end."""


class CountingApi(ModelApi):
    """API client that counts the requests by phase of the roll, and by method and kind."""

    def __init__(self, cluster: ModelCluster) -> None:
        super().__init__(cluster.server)
        self.by_phase: Counter[str] = Counter()
        self.by_kind: Counter[str] = Counter()
        self.lists_with_evidence = 0
        """Number of lists of PodRolls that contain more than metadata."""

    async def send(self, request: ApiRequest) -> ApiResponse:
        rolls = self._server.list("podrolls")
        self.by_phase[rolls[0].get("status", {}).get("phase", "") if rolls else ""] += 1
        self.by_kind[f"{request.method} {request.path.split(NAMESPACE + '/')[-1].split('/')[0]}"] += 1
        return await super().send(request)

    async def list_items(
        self, path: str, query: Mapping[str, str | int] | None = None, limit: int = 500, *, accept: str = ""
    ) -> AsyncIterator[Json]:
        self.lists_with_evidence += path.endswith("/podrolls") and accept != METADATA_ONLY
        async for item in super().list_items(path, query, limit, accept=accept):
            yield item


class NoSource:
    """No watch: the test passes the changes on itself."""

    def watch_pods(self, namespace: str, selector: str) -> Any:
        raise NotImplementedError


@dataclass
class Connected:
    """Watches that count as connected."""

    watches: PodWatches

    def follow(self, namespace: str, roll: str, selector: str, pod_uid: str) -> bool:
        self.watches.follow(namespace, roll, selector, pod_uid)
        return True

    def forget(self, namespace: str, roll: str) -> None:
        self.watches.forget(namespace, roll)


@dataclass
class RollRequests:
    """One roll of a pod of a Deployment, with the times that its pods take."""

    start_s: float = 20.0
    """Seconds from the creation of a pod until it is Ready."""
    grace_s: float = 30.0
    """Seconds that a pod terminates for."""
    spec: dict[str, Any] = field(default_factory=dict)
    """Fields of the PodRoll besides those of every one."""
    budget_spec: dict[str, Any] = field(default_factory=dict)
    replicas: int = 2
    is_watched: bool = True
    is_planned: bool = True
    """True if this process has planned the roll just before."""
    is_indexed: bool = True
    """True if the index of the process is current."""
    finished_rolls: int = 0
    """Number of PodRolls of other pods in the namespace, which the index contains."""

    def __post_init__(self) -> None:
        self.cluster = ModelCluster.with_nodes(10)
        self.server = self.cluster.server
        self.deleted_at: dict[str, float] = {}
        self._create("deployments", deployment("chat", self.replicas))
        self._create("services", service("chat"))
        self._create("memorypolicies", policy_json({"mode": "Enforce", "selector": {"matchLabels": {"app": "chat"}}}))
        if self.budget_spec:
            self._create("poddisruptionbudgets", budget("chat", **self.budget_spec))
        self.cluster.settle()
        self.old = self.cluster.list_pods()[0]
        self.existing = {uid_of(p) for p in self.cluster.list_pods()}
        self.server.seconds += 60
        trigger = {"container": "chat", "usageBytes": 1, "limitBytes": 2, "timeToLimitSeconds": 7200}
        spec = {"podName": name_of(self.old), "podUID": uid_of(self.old), "policy": "leaky", "trigger": trigger}
        self._create("podrolls", {"metadata": {"name": ROLL.name}, "spec": spec | {"reason": "leaks"} | self.spec})
        self.api = CountingApi(self.cluster)
        self.kube_cluster = KubeCluster(self.api, RecentReplicaSets(lambda: self.server.seconds))
        self.watches = PodWatches(NoSource(), self._wake, lambda: self.server.seconds)
        made = controllers(self.kube_cluster, FakePrometheus({}), now=lambda: at(self.server.seconds)).rolls
        self.controller = replace(made, watcher=Connected(self.watches) if self.is_watched else None)
        (created,) = self.server.list("podrolls")
        if self.is_planned:
            self._plan(PodRoll.read(created))
        self._fill_index()
        self.seen: dict[str, Json] = {}
        self.due_s = self.server.seconds
        self.lasted_s = 0.0
        self.ready_at_s = self.evicted_at_s = 0.0

    def _plan(self, roll: PodRoll) -> None:
        """Read the workload as the plan of the roll does, and remember it; these requests are not the roll's."""
        with ThreadPoolExecutor(1) as thread:  # the tests build this object in an event loop
            pod = decode_pod(self.old)
            assert pod is not None
            assert pod.controller is not None
            found = thread.submit(asyncio.run, self.kube_cluster.find_workload(NAMESPACE, pod.controller)).result()
        self.api.by_phase.clear()
        self.api.by_kind.clear()
        (policy,) = self.server.list("memorypolicies")
        planned = CreatedRoll(roll, MemoryPolicy.read(policy), found)
        self.controller.context.memory.planned.put(ROLL, planned, at(self.server.seconds))

    def _fill_index(self) -> None:
        index = self.controller.context.rolls
        index.put(index.decode(self.server.list("podrolls")[0]))
        for i in range(self.finished_rolls):
            spec = {"podName": f"old-{i}", "podUID": f"uid-{i}", "policy": "leaky", "reason": "leaks"}
            created = self._create("podrolls", {"metadata": {"name": f"old-{i}"}, "spec": spec})
            index.put(index.decode(self.server.update("podrolls", created, {"status": {"phase": "Succeeded"}})))
        if self.is_indexed:
            index.confirm(float("inf"))  # the clock of the process does not matter here

    async def run(self) -> RollRequests:
        """Run the roll to its end."""
        await self.run_until(lambda: False)
        return self

    async def run_until(self, condition: Callable[[], bool]) -> None:
        """Run the roll until a condition is met after one of its steps, or to its end."""
        began_s = self.server.seconds
        while self.server.seconds - began_s < MAX_S:
            while self.due_s <= self.server.seconds:
                wait_s = await self.controller.reconcile(ROLL)
                if wait_s is None:
                    self.lasted_s = max(1.0, self.server.seconds - began_s)
                    return
                self.due_s = self.server.seconds + wait_s
                if condition():
                    return
            self._run_second()
        raise AssertionError(f"the roll does not end: {self.status}")

    def run_pods(self, seconds: int) -> None:
        """Let time pass for the pods, without a step of the roll."""
        for _ in range(seconds):
            self._run_second()

    @property
    def status(self) -> Json:
        found = next(r for r in self.server.list("podrolls", NAMESPACE) if name_of(r) == ROLL.name)
        return found.get("status", {})

    @property
    def requests(self) -> int:
        return self.api.by_phase.total()

    @property
    def per_s(self) -> float:
        return self.requests / self.lasted_s

    def _run_second(self) -> None:
        for pod in self.cluster.list_pods():
            uid, now_s = uid_of(pod), self.server.seconds + 1
            if is_deleting(pod):
                self.evicted_at_s = self.evicted_at_s or self.server.seconds
                is_ending = now_s - self.deleted_at.setdefault(uid, now_s) < self.grace_s
                (self.cluster.kubelet.stuck.add if is_ending else self.cluster.kubelet.stuck.discard)(uid)
            elif uid not in self.existing:
                is_starting = now_s - self.deleted_at.setdefault(f"start {uid}", now_s) < self.start_s
                (self.cluster.kubelet.unready.add if is_starting else self.cluster.kubelet.unready.discard)(uid)
                if not is_starting:
                    self.ready_at_s = self.ready_at_s or now_s
        self.cluster.run_round()
        self._watch()

    def _watch(self) -> None:
        """Pass on what has changed of the pods that the selector of the workload selects, as the API server does."""
        pods = {uid_of(p): p for p in self.cluster.list_pods() if selects(SELECTED, labels_of(p))}
        for uid in self.seen.keys() | pods.keys():
            if self.seen.get(uid) != pods.get(uid):
                pod = decode_pod(pods.get(uid) or self.seen[uid])
                self.watches.handle(Watched(NAMESPACE, "app=chat"), PodChange(pod, uid not in pods))
        self.seen = pods

    def _wake(self, namespace: str, roll: str) -> None:
        assert (namespace, roll) == ROLL
        self.due_s = self.server.seconds

    def _create(self, plural: str, obj: Json) -> Json:
        return self.server.create(plural, NAMESPACE, obj)
