"""Session of actions on a real or a model cluster, with recorded observations that can be compared.

Pods become Ready by a readiness gate that the session sets, so each state lasts as long as necessary. Each observation
waits until the cluster is idle: transient states of controllers are not compared.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from memroll.clients.kube.api_client import ApiRequest, build_path
from memroll.clients.kube.cluster import KubeCluster
from memroll.clients.kube.eviction import get_causes
from memroll.errors import ConflictError, NotFoundError
from memroll.model.pods import RELEASED_HASH
from tests.model.api_client import STRATEGIC_PATCH, ModelApi
from tests.model.cluster import NAMESPACE, ModelCluster
from tests.model.objects import (
    HASH_LABEL,
    READINESS_GATE,
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

    from memroll.clients.kube.api_client import KubeApi
    from memroll.model.pods import Pod

CORE, APPS, POLICY, ROLLS = "/api/v1", "/apis/apps/v1", "/apis/policy/v1", "/apis/memroll.dev/v1alpha1"
BUDGET = "poddisruptionbudgets"
IDLE_S = 2.0
"""Time in seconds without a change after which a real cluster counts as idle."""
IDLE_TIMEOUT_S = 120.0
BUDGETS: dict[str, Json] = {
    "none": {},
    "minAvailable 1": {"minAvailable": 1},
    "maxUnavailable 0": {"maxUnavailable": 0},
    "minAvailable 100%": {"minAvailable": "100%"},
}


class ClusterBackend(Protocol):
    """Real or model cluster, and a namespace in it."""

    @property
    def api(self) -> KubeApi: ...
    @property
    def namespace(self) -> str: ...
    @property
    def image(self) -> str: ...
    async def wait_until_idle(self) -> None: ...
    async def endpoints(self) -> int: ...


@dataclass(frozen=True)
class ModelBackend:
    cluster: ModelCluster
    api: KubeApi
    namespace: str = NAMESPACE
    image: str = "any"

    @classmethod
    def new(cls) -> ModelBackend:
        cluster = ModelCluster.with_nodes(20)
        return cls(cluster, ModelApi(cluster.server))

    async def wait_until_idle(self) -> None:
        self.cluster.settle()

    async def endpoints(self) -> int:
        return len(self.cluster.list_endpoints())


@dataclass(frozen=True)
class NamespaceState:
    versions: tuple[str, ...]
    is_idle: bool


@dataclass(frozen=True)
class RealBackend:
    api: KubeApi
    namespace: str
    image: str

    async def wait_until_idle(self) -> None:
        """Wait until no pod starts or terminates, and nothing in the namespace has changed for `IDLE_S`."""
        state, since = await self._read_state(), asyncio.get_running_loop().time()
        async with asyncio.timeout(IDLE_TIMEOUT_S):
            while not state.is_idle or asyncio.get_running_loop().time() - since < IDLE_S:
                await asyncio.sleep(0.25)
                now = await self._read_state()
                if now != state:
                    state, since = now, asyncio.get_running_loop().time()

    async def _read_state(self) -> NamespaceState:
        found = []
        for prefix, plural in ((CORE, "pods"), (APPS, "replicasets"), (APPS, "deployments"), (POLICY, BUDGET)):
            found += (await self.api.request("GET", build_path(prefix, self.namespace, plural)))["items"]
        return NamespaceState(tuple(o["metadata"]["resourceVersion"] for o in found), all(map(_is_idle, found)))

    async def endpoints(self) -> int:
        listed = await self.api.request(
            "GET", build_path("/apis/discovery.k8s.io/v1", self.namespace, "endpointslices")
        )
        return sum(1 for s in listed["items"] for e in s.get("endpoints") or () if e["conditions"]["ready"])


def _is_idle(obj: Json) -> bool:
    """Return whether no further change of an object is expected; a pod without a node may stay so forever."""
    if "containers" not in obj["spec"]:
        return bool(obj["status"].get("observedGeneration", 0) >= obj["metadata"]["generation"])
    is_gate_open = condition_of(obj, READINESS_GATE).get("status") == "True"
    started = obj["status"].get("phase") != "Pending" and is_ready(obj) == is_gate_open
    return not is_deleting(obj) and (started or not node_of(obj))


@dataclass
class RecordedSession:
    """Actions on a cluster, and the observations so far."""

    backend: ClusterBackend
    observations: list[Any]

    def __post_init__(self) -> None:
        self.kube_cluster = KubeCluster(self.backend.api)
        self.names: list[str] = []

    def path(self, prefix: str, plural: str, name: str = "", sub: str = "") -> str:
        return build_path(prefix, self.backend.namespace, plural, name, sub)

    async def request(self, method: str, path: str, body: Json | None = None, **options: Any) -> Json:
        return await self.backend.api.request(method, path, body=body, **options)

    async def patch(self, path: str, body: Json) -> None:
        await self.request("PATCH", path, body, content_type="application/merge-patch+json")

    # Actions of a user.

    async def deploy(self, replicas: int = 1, **container: Any) -> None:
        """Create a Deployment and its Service, and wait until all pods are Ready."""
        template = self.template(**container)
        await self.request("POST", self.path(APPS, "deployments"), deployment("chat", replicas, template=template))
        await self.request("POST", self.path(CORE, "services"), service("chat"))
        await self.backend.wait_until_idle()
        for name in await self.list_pods():
            await self.set_readiness_gate(name)
        await self.backend.wait_until_idle()

    def template(self, **container: Any) -> Json:
        gates = [{"conditionType": READINESS_GATE}]
        made = pod_template(self.backend.image, readinessGates=gates)
        first = made["spec"]["containers"][0] | {"imagePullPolicy": "IfNotPresent", "command": ["sleep", "infinity"]}
        return made | {"spec": made["spec"] | {"containers": [first | container]}}

    async def create_budget(self, kind: str) -> None:
        if BUDGETS[kind]:
            await self.request("POST", self.path(POLICY, BUDGET), budget("chat", **BUDGETS[kind]))
            await self.backend.wait_until_idle()

    async def scale(self, replicas: int) -> None:
        await self.patch(self.path(APPS, "deployments", "chat"), {"spec": {"replicas": replicas}})
        await self.backend.wait_until_idle()

    async def roll_out(self, revision: str) -> None:
        change = {"spec": {"template": {"metadata": {"annotations": {"revision": revision}}}}}
        await self.patch(self.path(APPS, "deployments", "chat"), change)
        await self.backend.wait_until_idle()

    async def set_readiness_gate(self, name: str, value: str = "True") -> None:
        """Set the readiness gate of a pod."""
        status = {"status": {"conditions": [{"type": READINESS_GATE, "status": value}]}}
        path = self.path(CORE, "pods", name, "status")
        await self.request("PATCH", path, status, content_type=STRATEGIC_PATCH)
        await self.backend.wait_until_idle()

    # Actions of memroll.

    async def release(self, name: str) -> None:
        await self.retry_on_conflict(name, lambda pod: self.kube_cluster.release(pod, HASH_LABEL, "roll"))

    async def restore(self, name: str) -> None:
        await self.retry_on_conflict(name, lambda pod: self.kube_cluster.restore(pod, HASH_LABEL))

    async def prefer_deletion(self, name: str) -> None:
        await self.retry_on_conflict(name, self.kube_cluster.prefer_deletion)

    async def add_owner(self, name: str) -> None:
        roll = await self.request("POST", self.path(ROLLS, "podrolls"), pod_roll(name))
        await self.retry_on_conflict(name, lambda pod: self.kube_cluster.add_owner(pod, "roll", uid_of(roll)))

    async def retry_on_conflict(self, name: str, action: Callable[[Pod], Awaitable[None]]) -> None:
        """Repeat an action on the current pod until it succeeds: the kubelet's own writes cause conflicts."""
        while True:
            pod = await self.kube_cluster.get_pod(self.backend.namespace, name)
            assert pod is not None
            try:
                await action(pod)
            except ConflictError:
                continue
            break
        await self.backend.wait_until_idle()

    async def evict(self, name: str, *, dry_run: bool = True, **options: Any) -> Any:
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}, "deleteOptions": options}
        query = {"dryRun": "All"} if dry_run else {}
        path = self.path(CORE, "pods", name, "eviction")
        response = await self.backend.api.send(ApiRequest("POST", path, query, body))
        if not dry_run:
            await self.backend.wait_until_idle()
        return response.status, response.body.get("reason", ""), sorted(get_causes(response))

    # Observations.

    async def record_response(self, method: str, path: str, body: Json, content_type: str = "application/json") -> None:
        """Send a request, and record the API server's response."""
        response = await self.backend.api.send(ApiRequest(method, path, body=body, content_type=content_type))
        self.observations.append(
            (method, response.status, response.body.get("reason", "") if response.status >= 400 else "")
        )

    async def list_pods(self) -> list[str]:
        """Return the names of the existing pods, in the order in which they were first observed."""
        listed = (await self.request("GET", self.path(CORE, "pods")))["items"]
        new = [p for p in listed if name_of(p) not in self.names]
        self.names += [name_of(p) for p in sorted(new, key=lambda p: (p["metadata"]["creationTimestamp"], name_of(p)))]
        return [name for name in self.names if name in {name_of(p) for p in listed}]

    async def observe(self, situation: str, *, identify_pods: bool = True) -> None:
        """Record the state of the namespace.

        `identify_pods` is False where the uids decide which of several equal pods is deleted.
        """
        names = await self.list_pods()
        listed = {name_of(p): p for p in (await self.request("GET", self.path(CORE, "pods")))["items"]}
        sets = (await self.request("GET", self.path(APPS, "replicasets")))["items"]
        revision = "deployment.kubernetes.io/revision"
        sets.sort(key=lambda r: int(r["metadata"]["annotations"][revision]))
        pods = [self._pod(listed[n], sets) for n in names]
        evictions = [await self.evict(n) for n in names]
        self.observations.append(
            {
                "situation": situation,
                "pods": pods if identify_pods else sorted((p | {"pod": "any"} for p in pods), key=repr),
                "evictions": evictions if identify_pods else sorted(evictions),
                "sets": [(r["spec"]["replicas"], _counts(r, "replicas", "readyReplicas"), _failure(r)) for r in sets],
                "deployment": await self._deployment(),
                "budgets": await self._budgets(),
                "endpoints": await self.backend.endpoints(),
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
            "scheduled": bool(node_of(pod)),
            "deleting": is_deleting(pod),
        }

    async def _deployment(self) -> Json:
        try:
            deployment_json = await self.request("GET", self.path(APPS, "deployments", "chat"))
        except NotFoundError:
            return {}
        return _counts(deployment_json, "replicas", "updatedReplicas", "readyReplicas", "availableReplicas")

    async def _budgets(self) -> list[Json]:
        fields = ("currentHealthy", "desiredHealthy", "expectedPods", "disruptionsAllowed")
        return [_counts(b, *fields) for b in (await self.request("GET", self.path(POLICY, BUDGET)))["items"]]


def pod_roll(pod: str) -> Json:
    return {
        "apiVersion": "memroll.dev/v1alpha1",
        "kind": "PodRoll",
        "metadata": {"name": "roll"},
        "spec": {"podName": pod},
    }


def _failure(replica_set: Json) -> str:
    """Return the part of a ReplicaSet's failure that memroll uses."""
    message = str(condition_of(replica_set, "ReplicaFailure").get("message", ""))
    return "exceeded quota" if "exceeded quota" in message else message


def _counts(obj: Json, *fields: str) -> Json:
    return {field: obj.get("status", {}).get(field, 0) for field in fields}
