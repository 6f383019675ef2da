"""One namespace with one workload, a load on it, and rolls made by hand: what every case is played on."""

from __future__ import annotations

import time
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from memroll_demo.oom import OomKills
from tests.e2e import objects
from tests.soak.kube import prometheus
from tests.soak.load import Load

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from memroll_demo.site import Site
    from tests.soak.kube import Json, Kube

T = TypeVar("T")

APP = "web"
FINAL = ("Succeeded", "Failed", "Aborted")
HASH = "pod-template-hash"
RELEASED = "memroll-released"
MARK = "memroll.dev/"
POLL_S = 0.2
KEEP_ALIVE_S = "4"


def until(what: str, look: Callable[[], T], timeout_s: float = 90.0) -> T:
    """Return the first true thing that `look` returns; fail with what it returned last."""
    deadline = time.monotonic() + timeout_s
    while not (seen := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout_s:.0f} s in vain for {what}; last seen: {seen!r}")
        time.sleep(POLL_S)
    return seen


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.read())
    except OSError:
        return False


@dataclass
class Stage:
    """What a case works with. It counts rolls, requests and OOM kills as it goes."""

    site: Site
    kube: Kube
    namespace: str
    image: str
    rolls: int = 0
    reasons: list[str] = field(default_factory=list)
    """Why rolls ended that did not succeed."""
    loads: list[Load] = field(default_factory=list)
    _kills: OomKills = field(default_factory=OomKills)
    _last_roll: int = 0

    def open(self) -> None:
        """Make the namespace anew, with the service's program in it."""
        self.kube.delete("namespaces", "", self.namespace)
        until("the old namespace to go", lambda: self.kube.get("namespaces", "", self.namespace) is None)
        self.site.apply(objects.namespace(self.namespace), objects.program(self.namespace))

    def close(self) -> None:
        self.kube.delete("namespaces", "", self.namespace)

    def deploy(
        self,
        replicas: int = 1,
        budget: Json | None = None,
        change: Callable[[Json], None] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Apply the workload (its pod template as `change` leaves it), its Service and its budget; wait for it."""
        workload, service, pdb = objects.deployment(
            self.namespace, APP, self.image, replicas, **{"KEEP_ALIVE_S": KEEP_ALIVE_S} | dict(env or {})
        )
        if change:
            change(workload["spec"]["template"])
        pdb["spec"] = {"selector": pdb["spec"]["selector"], **(budget or {})}
        self.site.apply(workload, service, *([pdb] if budget else []))
        self.settled(replicas, timeout_s=120)

    def url(self) -> str:
        """Return the Service's address; the host routes to ClusterIPs of the local cluster."""
        service = self.kube.get("services", self.namespace, APP)
        assert service, "deploy() made it"
        return f"http://{service['spec']['clusterIP']}/"

    def load(self) -> None:
        """Start 20 requests per second with a new connection each, and 10 over connections that are kept."""
        url = self.url()
        until("the Service to answer", lambda: answers(url))  # kube-proxy may not know it yet
        self.loads += [Load(url).start(), Load(url, per_s=10, keep_alive=True).start(2)]

    def unload(self) -> None:
        for load in self.loads:
            load.stop()

    def pods(self) -> list[Json]:
        """Return all pods, oldest first: released, detached and terminating ones among them. None are of others."""
        found = self.kube.list("pods", self.namespace)
        for pod in found:
            self._kills.see_pod(APP, pod)
        return sorted(found, key=lambda p: (p["metadata"]["creationTimestamp"], p["metadata"]["name"]))

    def pod(self, name: str) -> Json | None:
        return self.kube.get("pods", self.namespace, name)

    def oldest(self) -> Json:
        return self.pods()[0]

    def deployment(self) -> Json:
        found = self.kube.get("deployments", self.namespace, APP)
        assert found, f"deployment {APP} of {self.namespace} is gone"
        return found

    def generations(self) -> dict[str, int]:
        """Return the generation of the Deployment and of its ReplicaSets: it counts the changes of a spec."""
        found = [self.deployment(), *self.kube.list("replicasets", self.namespace)]
        return {o["metadata"]["name"]: o["metadata"]["generation"] for o in found}

    def scale(self, replicas: int) -> None:
        self.kube.patch("deployments", self.namespace, APP, {"spec": {"replicas": replicas}})

    def set_env(self, name: str, value: str) -> None:
        """Begin a rollout, as a user would with `kubectl set env`."""
        self.site.kubectl("set", "env", f"deployment/{APP}", f"{name}={value}", "-n", self.namespace)

    def program(self, text: str) -> None:
        """Change the program that pods started from now on run; no spec changes."""
        self.kube.patch("configmaps", self.namespace, "program", {"data": {"app.py": text}})

    def roll(self, pod: Json, **spec: Any) -> str:
        """Make a PodRoll by hand, and return its name."""
        self._last_roll += 1
        name = f"hand-{self._last_roll:03}"
        body = {
            "apiVersion": "memroll.dev/v1alpha1",
            "kind": "PodRoll",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {"podName": pod["metadata"]["name"], "replacementTimeoutSeconds": 90, **spec},
        }
        self.kube.create("podrolls", self.namespace, body)
        return name

    def status(self, roll: str) -> Json:
        found = self.kube.get("podrolls", self.namespace, roll)
        assert found, f"PodRoll {roll} is gone"
        status: Json = found.get("status") or {}
        return status

    def phase(self, roll: str) -> str:
        return str(self.status(roll).get("phase", ""))

    def ended(self, roll: str, timeout_s: float = 180.0) -> Json:
        """Wait until the roll has ended, and return its status."""

        def look() -> Json | None:
            self.pods()  # for the OOM kills
            status = self.status(roll)
            return status if status.get("phase") in FINAL else None

        status = until(f"the end of {roll} of {self.namespace}", look, timeout_s)
        assert status
        self.rolls += 1
        if status["phase"] != "Succeeded":
            self.reasons.append(f"{status['phase']}/{status.get('reason')}: {status.get('message')}")
        return status

    def surging(self, roll: str) -> list[Json]:
        """Wait until the pod is released and its replacement exists; return the pods of that moment."""

        def look() -> list[Json]:
            pods = self.pods()
            own = [p for p in pods if p["metadata"].get("ownerReferences") and not is_released(p)]
            released = any(is_released(p) for p in pods)
            wanted, status = self.deployment()["spec"]["replicas"], self.status(roll)
            assert status.get("phase") not in FINAL, f"{roll} is over before it surged: {status.get('message')}"
            return pods if released and len(own) >= wanted and status.get("phase") == "Replacing" else []

        return until(f"{roll} of {self.namespace} in mid-surge", look)

    def settled(self, replicas: int, timeout_s: float = 120.0) -> list[Json]:
        """Wait until there are exactly so many pods, all Ready and all of the newest template; return them."""

        def look() -> list[Json]:
            status, generation = (d := self.deployment()).get("status", {}), d["metadata"]["generation"]
            counts = {status.get(k, 0) for k in ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")}
            pods = self.pods()
            calm = status.get("observedGeneration") == generation and counts == {replicas}
            good = all(is_ready(p) and not is_deleting(p) and owners_of(p) == ["ReplicaSet"] for p in pods)
            return [{}] if calm and good and len(pods) == replicas else []

        until(f"{replicas} settled pods in {self.namespace}", look, timeout_s)
        return self.pods()

    def strays(self) -> list[str]:
        """Return the pods of the namespace on which a roll has left a trace."""
        return [
            p["metadata"]["name"]
            for p in self.kube.list("pods", self.namespace)
            if is_released(p) or marks_of(p) or owners_of(p) not in (["ReplicaSet"], [])
        ]

    def unended(self) -> list[str]:
        found = self.kube.list("podrolls", self.namespace)
        return [r["metadata"]["name"] for r in found if r.get("status", {}).get("phase") not in FINAL]

    def oom_kills(self) -> int:
        """Count by the pods' statuses and by the kernel's events, those of pods that are gone among them."""
        promql = f'max_over_time(container_oom_events_total{{namespace="{self.namespace}",container="app"}}[1h])'
        for labels, value in prometheus(self.site, promql):
            self._kills.see_event_count(APP, str(labels.get("name") or labels.get("id")), value)
        return self._kills.of(APP)


def is_ready(pod: Json) -> bool:
    conditions = pod["status"].get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def is_deleting(pod: Json) -> bool:
    return "deletionTimestamp" in pod["metadata"]


def is_released(pod: Json) -> bool:
    return bool(pod["metadata"].get("labels", {}).get(HASH) == RELEASED)


def marks_of(pod: Json) -> list[str]:
    return [k for k in pod["metadata"].get("annotations", {}) if k.startswith(MARK)]


def owners_of(pod: Json) -> list[str]:
    return [o["kind"] for o in pod["metadata"].get("ownerReferences", [])]
