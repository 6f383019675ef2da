"""Where a case plays: a namespace with workloads, a watch on its pods, proxies and operators; all removed after it."""

from __future__ import annotations

import json
import tempfile
import urllib.request
import uuid
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import aiohttp
import yaml

from memroll_demo.site import wait_for
from tests.e2e import objects
from tests.e2e.conftest import Load
from tests.faults.apiproxy import ApiProxy
from tests.faults.background import Background
from tests.faults.process import OPERATOR, ROOT, Operator
from tests.faults.server import CONFLICT, RefusedError, Server

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from memroll_demo.site import Site
    from tests.faults.server import Json

SYSTEM = "faults-system"
FINAL = ("Succeeded", "Failed", "Aborted")


class Stage:
    """Use it in a `with`: what was started is ended, what was made is deleted."""

    def __init__(self, site: Site, name: str, seed: int = 1) -> None:
        self.site, self.name = site, name
        self.namespace = f"faults-{name}-{uuid.uuid4().hex[:6]}"
        """Each run its own: the detector would take the pods of an earlier one for this one's past."""
        self.born: dict[str, str] = {}
        """Every pod that ever was in the namespace: its app by its uid."""
        self.gone: set[str] = set()
        self.loads: list[Load] = []
        self._operators: list[Operator] = []
        self._seed = seed
        self._cleanup = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            self.folder = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix=f"faults-{self.name}-")))
            self.background = Background()
            undo.callback(self.background.close)
            self.server = Server(self.background, self.site.kubeconfig)
            undo.callback(self.server.close)
            self.proxy = ApiProxy(self.background, self.server, self._seed)
            undo.callback(self.proxy.close)
            self._crds()
            self._fresh_namespaces()
            undo.callback(self._remove)
            undo.callback(self._end_all)
            self._cleanup = undo.pop_all()
        return self

    def __exit__(self, kind: object, error: BaseException | None, *_: object) -> None:
        if error is not None:
            error.add_note(self.told())
        self._cleanup.close()

    def told(self) -> str:
        """Return what a person would look at after a failure."""
        rolls = [(r["metadata"]["name"], r.get("status", {})) for r in self.rolls()]
        sent = [f"{e.process} {e.method} {e.path} {e.status} {e.fault}" for e in self.proxy.ledger if e.is_write][-20:]
        return "\n".join([*map(str, rolls), *sent, *(o.tail() for o in self._operators)])

    def _crds(self) -> None:
        """Have the kinds served: a cluster without memroll may lack them."""
        for file in sorted((ROOT / "deploy/crds").glob("*.yaml")):
            crd = yaml.safe_load(file.read_text(encoding="utf-8"))
            path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
            self._make_once(path, crd)
            served = f"/apis/memroll.dev/v1alpha1/{crd['spec']['names']['plural']}?limit=1"
            wait_for(f"{served} to be served", partial(self.server.find, served))

    def _make_once(self, path: str, body: Json) -> None:
        """Create an object that other cases use, too, at the same time perhaps."""
        if self.server.find(f"{path}/{body['metadata']['name']}") is None:
            try:
                self.server.ask("POST", path, body)
            except RefusedError as refused:
                if refused.status != CONFLICT:
                    raise

    def _fresh_namespaces(self) -> None:
        self._make_once("/api/v1/namespaces", objects.namespace(SYSTEM))
        self.server.create(objects.namespace(self.namespace), objects.program(self.namespace))
        self.background.start(self._watch_pods())

    def _namespaced(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}"

    def _end_all(self) -> None:
        for load in self.loads:
            load.stop()
        for operator in self._operators:
            operator.end()

    def _remove(self) -> None:
        for path in (self._namespaced(), f"/apis/coordination.k8s.io/v1/namespaces/{SYSTEM}/leases/{self.namespace}"):
            with suppress(RefusedError):
                self.server.ask("DELETE", path)

    # What a case does.

    def workload(
        self, app: str, replicas: int = 1, environment: Mapping[str, str] | None = None, *, budget: bool = True
    ) -> None:
        image = self.site.service_image
        made = objects.deployment(self.namespace, app, image, replicas, **(environment or {}))
        self.server.create(*(made if budget else made[:2]))

    def operator(self, name: str = "one", command: Sequence[str] = OPERATOR, **settings: str) -> Operator:
        """Return an operator, not yet started, behind a port of the proxy that is its own."""
        connections = self.folder / "connections.yaml"
        if not connections.exists():
            self.connect({"default": self.site.prometheus_url})
        told = {
            "NAMESPACE": SYSTEM,
            "LEASE_NAME": self.namespace,
            "LEASE_SECONDS": "3",
            "WATCH_NAMESPACES": self.namespace,
            "CONNECTIONS_FILE": str(connections),
            "MAX_ROLLS_PER_HOUR": "1000",  # the runaway guard is made for services that leak for hours
            "MAX_NAMESPACE_SHARE": "100",
            **settings,
        }
        made = Operator(f"{self.name}-{name}", self.proxy.open(name, self.folder), self.folder, told, command)
        self._operators.append(made)
        return made

    def connect(self, urls: dict[str, str]) -> None:
        """Write the file of Prometheus connections."""
        told = {"connections": {name: {"url": url, "timeoutSeconds": 3} for name, url in urls.items()}}
        (self.folder / "connections.yaml").write_text(json.dumps(told), encoding="utf-8")

    def load(self, app: str, per_s: float = 20.0) -> Load:
        """Send a steady load to a Service, from the node, once kube-proxy has heard of it."""
        address = self.server.ask("GET", f"{self._namespaced()}/services/{app}")["spec"]["clusterIP"]
        url = f"http://{address}/"
        wait_for(f"an answer of {app}", partial(_answers, url))
        self.loads.append(Load(url, per_s).start())
        return self.loads[-1]

    def roll(self, name: str, pod: str, **spec: Any) -> None:
        """Ask for a roll by hand, whose evidence a process that was killed meanwhile still has time to capture."""
        spec.setdefault("evidence", {"timeout": "60s"})
        made = {"apiVersion": "memroll.dev/v1alpha1", "kind": "PodRoll",
                "metadata": {"name": name, "namespace": self.namespace}, "spec": {"podName": pod, **spec}}  # fmt: skip
        self.server.create(made)

    # What a case sees.

    def pods(self, app: str = "") -> list[Json]:
        query = f"?labelSelector=app%3D{app}" if app else ""
        return self.server.items(f"{self._namespaced()}/pods{query}")

    def serving(self, app: str) -> list[Json]:
        """Return the pods that are Ready, not leaving, and under their ReplicaSet."""
        return [p for p in self.pods(app) if is_ready(p) and is_owned(p) and not p["metadata"].get("deletionTimestamp")]

    def wait_serving(self, app: str, replicas: int = 1, timeout_s: float = 90.0) -> list[str]:
        def look() -> list[str]:
            names = [p["metadata"]["name"] for p in self.serving(app)]
            return names if len(names) == replicas else []

        return wait_for(f"{replicas} pods of {app}", look, timeout_s)

    def rolls(self) -> list[Json]:
        found = self.server.items(f"/apis/memroll.dev/v1alpha1/namespaces/{self.namespace}/podrolls")
        return sorted(found, key=lambda r: (r["metadata"]["creationTimestamp"], r["metadata"]["name"]))

    def phase(self, roll: str) -> str:
        found = self.server.find(f"/apis/memroll.dev/v1alpha1/namespaces/{self.namespace}/podrolls/{roll}")
        return str((found or {}).get("status", {}).get("phase", ""))

    def wait_ended(self, *rolls: str, timeout_s: float = 120.0) -> list[str]:
        """Wait until these rolls have ended (all that there are, when none is named); return how."""

        def look() -> list[str]:
            names = rolls or tuple(r["metadata"]["name"] for r in self.rolls())
            phases = [self.phase(name) for name in names]
            return phases if phases and all(p in FINAL for p in phases) else []

        return wait_for(f"the end of {rolls or 'all rolls'}", look, timeout_s)

    def wait_settled(self, app: str, replicas: int = 1, timeout_s: float = 60.0) -> None:
        """Wait until the workload has its pods and none beside them."""

        def look() -> bool:
            return len(self.serving(app)) == replicas == len(self.pods(app))

        wait_for(f"exactly {replicas} pods of {app}", look, timeout_s)

    async def _watch_pods(self) -> None:
        """Note every pod that comes and goes, past all proxies."""
        path = f"{self.server.url}{self._namespaced()}/pods?watch=true&timeoutSeconds=3600"
        endless = aiohttp.ClientTimeout(total=None)
        while True:
            with suppress(aiohttp.ClientError):
                async with self.server.session.get(path, timeout=endless) as stream:
                    async for line in stream.content:
                        self._note(json.loads(line))

    def _note(self, event: Json) -> None:
        meta = event["object"].get("metadata", {})
        if "uid" in meta:
            self.born.setdefault(meta["uid"], meta.get("labels", {}).get("app", ""))
            if event["type"] == "DELETED":
                self.gone.add(meta["uid"])


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.read())
    except OSError:
        return False


def is_ready(pod: Json) -> bool:
    conditions = pod["status"].get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def is_owned(pod: Json) -> bool:
    return any(o["kind"] == "ReplicaSet" for o in pod["metadata"].get("ownerReferences", []))
