"""One script for a real cluster and for the model: what is done, and what is seen of it.

Pods become Ready by a readiness gate that the script opens, so it can look at any moment for as long as it likes.
Each look waits until nothing changes any more: what a controller does in between is its own business.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from memroll.clients.kube.api_client import Call, causes, path_of
from memroll.clients.kube.cluster import Cluster
from memroll.errors import Conflict, NotFound
from memroll.model.pods import RELEASED_HASH
from tests.model.api import STRATEGIC_PATCH, ModelApi
from tests.model.cluster import NAMESPACE, ModelCluster
from tests.model.objects import (
    GATE,
    HASH_LABEL,
    Json,
    budget,
    condition_of,
    controller_uid,
    deployment,
    is_deleting,
    is_ready,
    labels_of,
    name_of,
    node_of,
    owners_of,
    pod_template,
    service,
    uid_of,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from memroll.clients.kube.api_client import Api
    from memroll.model.pods import Target

CORE, APPS, POLICY, ROLLS = "/api/v1", "/apis/apps/v1", "/apis/policy/v1", "/apis/memroll.dev/v1alpha1"
BUDGET = "poddisruptionbudgets"
QUIET_S = 2.0
REST_MOST_S = 120.0
BUDGETS: dict[str, Json] = {
    "none": {},
    "minAvailable 1": {"minAvailable": 1},
    "maxUnavailable 0": {"maxUnavailable": 0},
    "minAvailable 100%": {"minAvailable": "100%"},
}


class World(Protocol):
    """A cluster, real or not, and the namespace in it."""

    @property
    def api(self) -> Api: ...
    @property
    def namespace(self) -> str: ...
    @property
    def image(self) -> str: ...
    async def rest(self) -> None: ...
    async def endpoints(self) -> int: ...


@dataclass(frozen=True)
class Model:
    cluster: ModelCluster
    api: Api
    namespace: str = NAMESPACE
    image: str = "any"

    @classmethod
    def new(cls) -> Model:
        cluster = ModelCluster.with_room_for(20)
        return cls(cluster, ModelApi(cluster.server))

    async def rest(self) -> None:
        self.cluster.settle()

    async def endpoints(self) -> int:
        return len(self.cluster.endpoints())


@dataclass(frozen=True)
class Seen:
    versions: tuple[str, ...]
    quiet: bool


@dataclass(frozen=True)
class Real:
    api: Api
    namespace: str
    image: str

    async def rest(self) -> None:
        """Wait until no pod is on its way in or out, and nothing of the namespace has changed for a while."""
        seen, since = await self._look(), asyncio.get_running_loop().time()
        async with asyncio.timeout(REST_MOST_S):
            while not seen.quiet or asyncio.get_running_loop().time() - since < QUIET_S:
                await asyncio.sleep(0.25)
                now = await self._look()
                if now != seen:
                    seen, since = now, asyncio.get_running_loop().time()

    async def _look(self) -> Seen:
        found = []
        for prefix, plural in ((CORE, "pods"), (APPS, "replicasets"), (APPS, "deployments"), (POLICY, BUDGET)):
            found += (await self.api.request("GET", path_of(prefix, self.namespace, plural)))["items"]
        return Seen(tuple(o["metadata"]["resourceVersion"] for o in found), all(map(_at_rest, found)))

    async def endpoints(self) -> int:
        listed = await self.api.request("GET", path_of("/apis/discovery.k8s.io/v1", self.namespace, "endpointslices"))
        return sum(1 for s in listed["items"] for e in s.get("endpoints") or () if e["conditions"]["ready"])


def _at_rest(obj: Json) -> bool:
    """Whether nothing more is to be expected of an object; a pod that has no node may wait for ever."""
    if "containers" not in obj["spec"]:
        return bool(obj["status"].get("observedGeneration", 0) >= obj["metadata"]["generation"])
    gate = condition_of(obj, GATE).get("status") == "True"
    started = obj["status"].get("phase") != "Pending" and is_ready(obj) == gate
    return not is_deleting(obj) and (started or not node_of(obj))


@dataclass
class Script:
    """What is done to a world, and what was seen of it at each look."""

    world: World
    seen: list[Any]

    def __post_init__(self) -> None:
        self.adapter = Cluster(self.world.api)
        self.names: list[str] = []

    def path(self, prefix: str, plural: str, name: str = "", sub: str = "") -> str:
        return path_of(prefix, self.world.namespace, plural, name, sub)

    async def ask(self, method: str, path: str, body: Json | None = None, **more: Any) -> Json:
        return await self.world.api.request(method, path, body=body, **more)

    async def patch(self, path: str, body: Json) -> None:
        await self.ask("PATCH", path, body, content_type="application/merge-patch+json")

    # what a user does

    async def deploy(self, replicas: int = 1, **container: Any) -> None:
        """Run a Deployment with its Service until all of its pods are Ready."""
        template = self.template(**container)
        await self.ask("POST", self.path(APPS, "deployments"), deployment("chat", replicas, template=template))
        await self.ask("POST", self.path(CORE, "services"), service("chat"))
        await self.world.rest()
        for name in await self.pods():
            await self.gate(name)
        await self.world.rest()

    def template(self, **container: Any) -> Json:
        gates = [{"conditionType": GATE}]
        made = pod_template(self.world.image, readinessGates=gates)
        first = made["spec"]["containers"][0] | {"imagePullPolicy": "IfNotPresent", "command": ["sleep", "infinity"]}
        return made | {"spec": made["spec"] | {"containers": [first | container]}}

    async def protect(self, kind: str) -> None:
        if BUDGETS[kind]:
            await self.ask("POST", self.path(POLICY, BUDGET), budget("chat", **BUDGETS[kind]))
            await self.world.rest()

    async def scale(self, replicas: int) -> None:
        await self.patch(self.path(APPS, "deployments", "chat"), {"spec": {"replicas": replicas}})
        await self.world.rest()

    async def roll_out(self, revision: str) -> None:
        change = {"spec": {"template": {"metadata": {"annotations": {"revision": revision}}}}}
        await self.patch(self.path(APPS, "deployments", "chat"), change)
        await self.world.rest()

    async def gate(self, name: str, value: str = "True") -> None:
        """Open the readiness gate of a pod, or close it."""
        status = {"status": {"conditions": [{"type": GATE, "status": value}]}}
        path = self.path(CORE, "pods", name, "status")
        await self.ask("PATCH", path, status, content_type=STRATEGIC_PATCH)
        await self.world.rest()

    # what memroll does

    async def release(self, name: str) -> None:
        await self.patiently(name, lambda pod: self.adapter.release(pod, HASH_LABEL, "roll"))

    async def restore(self, name: str) -> None:
        await self.patiently(name, lambda pod: self.adapter.restore(pod, HASH_LABEL))

    async def own(self, name: str) -> None:
        roll = await self.ask("POST", self.path(ROLLS, "podrolls"), roll_of(name))
        await self.patiently(name, lambda pod: self.adapter.own(pod, "roll", uid_of(roll)))

    async def patiently(self, name: str, act: Callable[[Target], Awaitable[None]]) -> None:
        """Act on the newest state, again after a conflict with the kubelet's own writes."""
        while True:
            pod = await self.adapter.pod(self.world.namespace, name)
            assert pod is not None
            try:
                await act(pod)
            except Conflict:
                continue
            break
        await self.world.rest()

    async def evict(self, name: str, *, dry: bool = True, **options: Any) -> Any:
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}, "deleteOptions": options}
        query = {"dryRun": "All"} if dry else {}
        path = self.path(CORE, "pods", name, "eviction")
        answer = await self.world.api.answer(Call("POST", path, query, body))
        if not dry:
            await self.world.rest()
        return answer.status, answer.body.get("reason", ""), sorted(causes(answer))

    # what is seen

    async def tell(self, method: str, path: str, body: Json, content_type: str = "application/json") -> None:
        """Note what the API server answers."""
        answer = await self.world.api.answer(Call(method, path, body=body, content_type=content_type))
        self.seen.append((method, answer.status, answer.body.get("reason", "") if answer.status >= 400 else ""))

    async def pods(self) -> list[str]:
        """Return the names of the pods in the order in which they were first seen, gone ones left out."""
        listed = (await self.ask("GET", self.path(CORE, "pods")))["items"]
        fresh = [p for p in listed if name_of(p) not in self.names]
        self.names += [
            name_of(p) for p in sorted(fresh, key=lambda p: (p["metadata"]["creationTimestamp"], name_of(p)))
        ]
        return [name for name in self.names if name in {name_of(p) for p in listed}]

    async def look(self, what: str, *, which: bool = True) -> None:
        """Note all that is to be compared; `which` of several equal pods went may be left to chance (their uids)."""
        names = await self.pods()
        listed = {name_of(p): p for p in (await self.ask("GET", self.path(CORE, "pods")))["items"]}
        sets = (await self.ask("GET", self.path(APPS, "replicasets")))["items"]
        revision = "deployment.kubernetes.io/revision"
        sets.sort(key=lambda r: int(r["metadata"]["annotations"][revision]))
        pods = [self._pod(listed[n], sets) for n in names]
        evictions = [await self.evict(n) for n in names]
        self.seen.append(
            {
                "look": what,
                "pods": pods if which else sorted((p | {"pod": "any"} for p in pods), key=repr),
                "evictions": evictions if which else sorted(evictions),
                "sets": [(r["spec"]["replicas"], _counts(r, "replicas", "readyReplicas"), _failure(r)) for r in sets],
                "top": await self._top(),
                "budgets": await self._budgets(),
                "endpoints": await self.world.endpoints(),
            }
        )

    def _pod(self, pod: Json, sets: list[Json]) -> Json:
        numbers = {uid_of(r): number for number, r in enumerate(sets)}
        owner = controller_uid(pod)
        return {
            "pod": self.names.index(name_of(pod)),
            "set": numbers.get(owner, "gone") if owner else "none",
            "owners": sorted(o["kind"] for o in owners_of(pod)),
            "released": labels_of(pod).get(HASH_LABEL) == RELEASED_HASH,
            "ready": is_ready(pod),
            "phase": pod["status"]["phase"],
            "placed": bool(node_of(pod)),
            "deleting": is_deleting(pod),
        }

    async def _top(self) -> Json:
        try:
            top = await self.ask("GET", self.path(APPS, "deployments", "chat"))
        except NotFound:
            return {}
        return _counts(top, "replicas", "updatedReplicas", "readyReplicas", "availableReplicas")

    async def _budgets(self) -> list[Json]:
        words = ("currentHealthy", "desiredHealthy", "expectedPods", "disruptionsAllowed")
        return [_counts(b, *words) for b in (await self.ask("GET", self.path(POLICY, BUDGET)))["items"]]


def roll_of(pod: str) -> Json:
    return {
        "apiVersion": "memroll.dev/v1alpha1",
        "kind": "PodRoll",
        "metadata": {"name": "roll"},
        "spec": {"podName": pod},
    }


def _failure(replica_set: Json) -> str:
    """Return what memroll goes by when no replacement comes."""
    said = str(condition_of(replica_set, "ReplicaFailure").get("message", ""))
    return "exceeded quota" if "exceeded quota" in said else said


def _counts(obj: Json, *words: str) -> Json:
    return {word: obj.get("status", {}).get(word, 0) for word in words}
