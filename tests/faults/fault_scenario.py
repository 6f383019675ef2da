"""Scenario of a fault case: a namespace with workloads, a watch on its pods, proxies and operator processes."""

from __future__ import annotations

import json
import tempfile
import uuid
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import aiohttp
import yaml

from memroll_demo.cluster import wait_for
from tests.e2e import objects
from tests.faults.api_proxy import ApiProxy
from tests.faults.api_server import CONFLICT, ApiServerClient, ApiStatusError
from tests.faults.background_loop import BackgroundLoop
from tests.faults.operator_process import OPERATOR, ROOT, OperatorProcess
from tests.soak.load import LoadGenerator
from tests.soak.roll_scenario import is_ready, is_responding

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from memroll_demo.cluster import DemoCluster
    from tests.faults.api_server import Json

SYSTEM_NAMESPACE = "faults-system"
FINAL = ("Succeeded", "Failed", "Aborted")


class FaultScenario:
    """Context manager that terminates all processes and deletes all objects at its end."""

    def __init__(self, cluster: DemoCluster, name: str, seed: int = 1) -> None:
        self.cluster, self.name = cluster, name
        self.namespace = f"faults-{name}-{uuid.uuid4().hex[:6]}"
        """A new name for each run: the detector would attribute the samples of an earlier run to this one."""
        self.app_by_uid: dict[str, str] = {}
        """App of every pod that has existed in the namespace, by uid."""
        self.deleted_uids: set[str] = set()
        self.loads: list[LoadGenerator] = []
        self._operators: list[OperatorProcess] = []
        self._seed = seed
        self._cleanup = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=f"faults-{self.name}-")))
            self.background = BackgroundLoop()
            stack.callback(self.background.close)
            self.server = ApiServerClient(self.background, self.cluster.kubeconfig)
            stack.callback(self.server.close)
            self.proxy = ApiProxy(self.background, self.server, self._seed)
            stack.callback(self.proxy.close)
            self._create_crds()
            self._create_namespaces()
            stack.callback(self._delete_objects)
            stack.callback(self._stop_all)
            self._cleanup = stack.pop_all()
        return self

    def __exit__(self, kind: object, error: BaseException | None, *_: object) -> None:
        if error is not None:
            error.add_note(self.describe())
        self._cleanup.close()

    def describe(self) -> str:
        """Return diagnostics for a failure: rolls, the last writes, and the ends of the logs."""
        rolls = [(r["metadata"]["name"], r.get("status", {})) for r in self.list_rolls()]
        writes = [e for e in self.proxy.request_log if e.is_write][-20:]
        lines = (f"{e.process} {e.method} {e.path} {e.status} {e.fault}" for e in writes)
        return "\n".join([*map(str, rolls), *lines, *(o.tail() for o in self._operators)])

    def _create_crds(self) -> None:
        """Create the CRDs, which a cluster without memroll lacks, and wait until they are served."""
        for file in sorted((ROOT / "deploy/crds").glob("*.yaml")):
            crd = yaml.safe_load(file.read_text(encoding="utf-8"))
            path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
            self._create_if_missing(path, crd)
            served = f"/apis/memroll.dev/v1alpha1/{crd['spec']['names']['plural']}?limit=1"
            wait_for(f"{served} to be served", partial(self.server.find, served))

    def _create_if_missing(self, path: str, body: Json) -> None:
        """Create an object that concurrent cases may create as well."""
        if self.server.find(f"{path}/{body['metadata']['name']}") is None:
            try:
                self.server.request("POST", path, body)
            except ApiStatusError as error:
                if error.status != CONFLICT:
                    raise

    def _create_namespaces(self) -> None:
        self._create_if_missing("/api/v1/namespaces", objects.namespace(SYSTEM_NAMESPACE))
        self.server.create(objects.namespace(self.namespace), objects.program(self.namespace))
        self.background.start(self._watch_pods())

    def _namespace_path(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}"

    def _stop_all(self) -> None:
        for load in self.loads:
            load.stop()
        for operator in self._operators:
            operator.terminate()

    def _delete_objects(self) -> None:
        leases = f"/apis/coordination.k8s.io/v1/namespaces/{SYSTEM_NAMESPACE}/leases"
        for path in (self._namespace_path(), f"{leases}/{self.namespace}"):
            with suppress(ApiStatusError):
                self.server.request("DELETE", path)

    # Actions of a case.

    def create_workload(
        self, app: str, replicas: int = 1, environment: Mapping[str, str] | None = None, *, budget: bool = True
    ) -> None:
        image = self.cluster.service_image
        created = objects.deployment(self.namespace, app, image, replicas, **(environment or {}))
        self.server.create(*(created if budget else created[:2]))

    def create_operator(self, name: str = "one", command: Sequence[str] = OPERATOR, **settings: str) -> OperatorProcess:
        """Return an operator that is not started yet, with a separate port of the proxy."""
        connections = self.folder / "connections.yaml"
        if not connections.exists():
            self.write_connections({"default": self.cluster.prometheus_url})
        values = {
            "NAMESPACE": SYSTEM_NAMESPACE,
            "LEASE_NAME": self.namespace,
            "LEASE_SECONDS": "3",
            "WATCH_NAMESPACES": self.namespace,
            "CONNECTIONS_FILE": str(connections),
            "MAX_ROLLS_PER_HOUR": "1000",  # the default rate limit suits services that leak for hours
            "MAX_NAMESPACE_SHARE": "100",
            **settings,
        }
        kubeconfig = self.proxy.open_port(name, self.folder)
        created = OperatorProcess(f"{self.name}-{name}", kubeconfig, self.folder, values, command)
        self._operators.append(created)
        return created

    def write_connections(self, urls: dict[str, str]) -> None:
        """Write the file of Prometheus connections."""
        values = {"connections": {name: {"url": url, "timeoutSeconds": 3} for name, url in urls.items()}}
        (self.folder / "connections.yaml").write_text(json.dumps(values), encoding="utf-8")

    def start_load(self, app: str, per_s: float = 20.0) -> LoadGenerator:
        """Send a steady load to a Service from the node, once the Service responds."""
        address = self.server.request("GET", f"{self._namespace_path()}/services/{app}")["spec"]["clusterIP"]
        url = f"http://{address}/"
        wait_for(f"a response of {app}", partial(is_responding, url))
        self.loads.append(LoadGenerator(url, per_s).start())
        return self.loads[-1]

    def create_roll(self, name: str, pod: str, **spec: Any) -> None:
        """Create a PodRoll by hand, with enough time to capture evidence for a process that is killed in between."""
        spec.setdefault("evidence", {"timeout": "60s"})
        created = {"apiVersion": "memroll.dev/v1alpha1", "kind": "PodRoll",
                "metadata": {"name": name, "namespace": self.namespace}, "spec": {"podName": pod, **spec}}  # fmt: skip
        self.server.create(created)

    # Observations of a case.

    def list_pods(self, app: str = "") -> list[Json]:
        query = f"?labelSelector=app%3D{app}" if app else ""
        return self.server.list_items(f"{self._namespace_path()}/pods{query}")

    def list_serving_pods(self, app: str) -> list[Json]:
        """Return the pods that are Ready, not terminating, and owned by their ReplicaSet."""
        owned = [p for p in self.list_pods(app) if is_ready(p) and is_owned(p)]
        return [p for p in owned if not p["metadata"].get("deletionTimestamp")]

    def wait_until_serving(self, app: str, replicas: int = 1, timeout_s: float = 90.0) -> list[str]:
        def observe() -> list[str]:
            names = [p["metadata"]["name"] for p in self.list_serving_pods(app)]
            return names if len(names) == replicas else []

        return wait_for(f"{replicas} pods of {app}", observe, timeout_s)

    def list_rolls(self) -> list[Json]:
        found = self.server.list_items(f"/apis/memroll.dev/v1alpha1/namespaces/{self.namespace}/podrolls")
        return sorted(found, key=lambda r: (r["metadata"]["creationTimestamp"], r["metadata"]["name"]))

    def get_phase(self, roll: str) -> str:
        found = self.server.find(f"/apis/memroll.dev/v1alpha1/namespaces/{self.namespace}/podrolls/{roll}")
        return str((found or {}).get("status", {}).get("phase", ""))

    def wait_until_ended(self, *rolls: str, timeout_s: float = 120.0) -> list[str]:
        """Wait until these rolls have ended, or all rolls if none is named; return their phases."""

        def observe() -> list[str]:
            names = rolls or tuple(r["metadata"]["name"] for r in self.list_rolls())
            phases = [self.get_phase(name) for name in names]
            return phases if phases and all(p in FINAL for p in phases) else []

        return wait_for(f"the end of {rolls or 'all rolls'}", observe, timeout_s)

    def wait_until_settled(self, app: str, replicas: int = 1, timeout_s: float = 60.0) -> None:
        """Wait until the workload has exactly this number of pods, all serving."""

        def observe() -> bool:
            return len(self.list_serving_pods(app)) == replicas == len(self.list_pods(app))

        wait_for(f"exactly {replicas} pods of {app}", observe, timeout_s)

    async def _watch_pods(self) -> None:
        """Record the creation and deletion of every pod, without the proxies."""
        path = f"{self.server.url}{self._namespace_path()}/pods?watch=true&timeoutSeconds=3600"
        endless = aiohttp.ClientTimeout(total=None)
        while True:
            with suppress(aiohttp.ClientError):
                async with self.server.session.get(path, timeout=endless) as stream:
                    async for line in stream.content:
                        self._record_event(json.loads(line))

    def _record_event(self, event: Json) -> None:
        meta = event["object"].get("metadata", {})
        if "uid" in meta:
            self.app_by_uid.setdefault(meta["uid"], meta.get("labels", {}).get("app", ""))
            if event["type"] == "DELETED":
                self.deleted_uids.add(meta["uid"])


def is_owned(pod: Json) -> bool:
    return any(o["kind"] == "ReplicaSet" for o in pod["metadata"].get("ownerReferences", []))
