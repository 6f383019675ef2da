"""Namespace with one workload, a load on it, and PodRolls created by hand: the scenario of every soak case."""

from __future__ import annotations

import json
import time
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from memroll_demo.oom import OomKills
from tests.e2e import objects
from tests.soak.kubectl_proxy import query_prometheus
from tests.soak.load import LoadGenerator

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from memroll_demo.cluster import DemoCluster
    from tests.soak.kubectl_proxy import Json, KubectlProxy

T = TypeVar("T")

APP = "web"
FINAL = ("Succeeded", "Failed", "Aborted")
CONTROLLERS = ("ReplicaSet", "StatefulSet")
HASH_LABEL = "pod-template-hash"
RELEASED = "memroll-released"
ANNOTATION_PREFIX = "memroll.dev/"
POLL_S = 0.2
KEEP_ALIVE_S = "4"


def wait_until(condition: str, observe: Callable[[], T], timeout_s: float = 90.0) -> T:
    """Call `observe` until it returns a true value, and return that; fail with the last value after the timeout."""
    deadline = time.monotonic() + timeout_s
    while not (value := observe()):
        if time.monotonic() > deadline:
            raise AssertionError(f"timed out after {timeout_s:.0f} s, waiting for {condition}; last value: {value!r}")
        time.sleep(POLL_S)
    return value


def is_responding(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return bool(response.read())
    except OSError:
        return False


@dataclass
class RollScenario:
    """One workload under load, and the actions of a case on it. Counts ended rolls, requests and OOM kills."""

    cluster: DemoCluster
    kube: KubectlProxy
    namespace: str
    image: str
    plural: str = "deployments"
    """Plural of the workload's kind; "rollouts" for a Rollout of Argo, see `rollouts.deploy_rollout`."""
    ended_rolls: int = 0
    reasons: list[str] = field(default_factory=list)
    """Phase, reason and message of the rolls that did not succeed."""
    loads: list[LoadGenerator] = field(default_factory=list)
    _kills: OomKills = field(default_factory=OomKills)
    _last_roll: int = 0

    def beside(self, suffix: str) -> RollScenario:
        """Return a scenario in one of the case's additional namespaces."""
        return RollScenario(self.cluster, self.kube, f"{self.namespace}-{suffix}", self.image)

    def create_namespace(self) -> None:
        """Create the namespace, deleting an older one, and the service's program in it."""
        self.kube.delete("namespaces", "", self.namespace)
        wait_until("the deletion of the old namespace", lambda: self.kube.get("namespaces", "", self.namespace) is None)
        self.cluster.apply(objects.namespace(self.namespace), objects.program(self.namespace))

    def delete_namespace(self) -> None:
        self.kube.delete("namespaces", "", self.namespace)

    def deploy(
        self,
        replicas: int = 1,
        budget: Json | None = None,
        change: Callable[[Json], None] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Apply the workload, its Service and its PodDisruptionBudget, and wait until it is settled.

        `change` modifies the pod template first.
        """
        workload, service, pdb = objects.deployment(
            self.namespace, APP, self.image, replicas, **{"KEEP_ALIVE_S": KEEP_ALIVE_S} | dict(env or {})
        )
        if change:
            change(workload["spec"]["template"])
        pdb["spec"] = {"selector": pdb["spec"]["selector"], **(budget or {})}
        self.cluster.apply(workload, service, *([pdb] if budget else []))
        self.wait_until_settled(replicas, timeout_s=120)

    def get_service_url(self) -> str:
        """Return the Service's address; the host routes to ClusterIPs of the local cluster."""
        service = self.kube.get("services", self.namespace, APP)
        assert service, "deploy() created it"
        return f"http://{service['spec']['clusterIP']}/"

    def start_load(self) -> None:
        """Start 20 requests per second with a new connection each, and 10 over kept connections."""
        url = self.get_service_url()
        wait_until("a response of the Service", lambda: is_responding(url))  # kube-proxy may not have its rules yet
        self.loads += [LoadGenerator(url).start(), LoadGenerator(url, per_s=10, keep_alive=True).start(2)]

    def stop_load(self) -> None:
        for load in self.loads:
            load.stop()

    def list_pods(self) -> list[Json]:
        """Return all pods of the namespace, oldest first, including released, detached and terminating ones."""
        found = self.kube.list("pods", self.namespace)
        for pod in found:
            self._kills.count_pod(APP, pod)
        return sorted(found, key=lambda p: (p["metadata"]["creationTimestamp"], p["metadata"]["name"]))

    def get_pod(self, name: str) -> Json | None:
        return self.kube.get("pods", self.namespace, name)

    def get_oldest_pod(self) -> Json:
        return self.list_pods()[0]

    def get_workload(self) -> Json:
        found = self.kube.get(self.plural, self.namespace, APP)
        assert found, f"{self.plural} {APP} of {self.namespace} does not exist"
        return found

    def get_generations(self) -> dict[str, int]:
        """Return the generations of the workload and its ReplicaSets: a change of a spec increments them."""
        found = [self.get_workload(), *self.kube.list("replicasets", self.namespace)]
        return {o["metadata"]["name"]: o["metadata"]["generation"] for o in found}

    def scale(self, replicas: int) -> None:
        self.kube.patch(self.plural, self.namespace, APP, {"spec": {"replicas": replicas}})

    def set_env(self, name: str, value: str) -> None:
        """Begin a rollout with `kubectl set env`, as a user does."""
        self.cluster.kubectl("set", "env", f"deployment/{APP}", f"{name}={value}", "-n", self.namespace)

    def replace_program(self, text: str) -> None:
        """Replace the program of pods that start from now on; no spec changes."""
        self.kube.patch("configmaps", self.namespace, "program", {"data": {"app.py": text}})

    def create_pod_quota(self) -> str:
        """Create a ResourceQuota that allows one pod; return its name once it is in force."""
        name = "one-pod"
        body = {"metadata": {"name": name}, "spec": {"hard": {"pods": "1"}}}
        self.kube.create("resourcequotas", self.namespace, body)

        def is_in_force() -> bool:
            found = self.kube.get("resourcequotas", self.namespace, name) or {}
            return bool(found.get("status", {}).get("used", {}).get("pods") == "1")

        wait_until("the quota to be in force", is_in_force)
        return name

    def create_roll(self, pod: Json, **spec: Any) -> str:
        """Create a PodRoll by hand, and return its name."""
        body = self.build_roll(pod["metadata"]["name"], **spec)
        self.kube.create("podrolls", self.namespace, body)
        return str(body["metadata"]["name"])

    def create_rolls(self, *pods: str) -> list[str]:
        """Create a PodRoll for each name of a pod with one `kubectl create`; return the PodRolls' names."""
        bodies = [self.build_roll(pod) for pod in pods]
        self.cluster.kubectl(
            "create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": bodies})
        )
        return [body["metadata"]["name"] for body in bodies]

    def build_roll(self, pod: str, **spec: Any) -> Json:
        """Return a PodRoll with the next name."""
        self._last_roll += 1
        return {
            "apiVersion": "memroll.dev/v1alpha1",
            "kind": "PodRoll",
            "metadata": {"name": f"hand-{self._last_roll:03}", "namespace": self.namespace},
            "spec": {"podName": pod, "replacementTimeoutSeconds": 90, **spec},
        }

    def list_rolls(self) -> list[Json]:
        return self.kube.list("podrolls", self.namespace)

    def list_event_reasons(self) -> set[str]:
        """Return the reasons of all Events of the namespace."""
        return {str(e["reason"]) for e in self.kube.list("events", self.namespace)}

    def get_roll_status(self, roll: str) -> Json:
        found = self.kube.get("podrolls", self.namespace, roll)
        assert found, f"PodRoll {roll} does not exist"
        status: Json = found.get("status") or {}
        return status

    def get_phase(self, roll: str) -> str:
        return str(self.get_roll_status(roll).get("phase", ""))

    def wait_until_ended(self, roll: str, timeout_s: float = 180.0) -> Json:
        """Wait until the roll has ended, and return its status."""

        def observe() -> Json | None:
            self.list_pods()  # for the OOM kills
            status = self.get_roll_status(roll)
            return status if status.get("phase") in FINAL else None

        status = wait_until(f"the end of {roll} of {self.namespace}", observe, timeout_s)
        assert status
        self.ended_rolls += 1
        if status["phase"] != "Succeeded":
            self.reasons.append(f"{status['phase']}/{status.get('reason')}: {status.get('message')}")
        return status

    def wait_until_surging(self, roll: str) -> list[Json]:
        """Wait until the pod is released and its replacement exists; return the pods at that time."""

        def observe() -> list[Json]:
            pods = self.list_pods()
            own = [p for p in pods if p["metadata"].get("ownerReferences") and not is_released(p)]
            released = any(is_released(p) for p in pods)
            replicas, status = self.get_workload()["spec"]["replicas"], self.get_roll_status(roll)
            assert status.get("phase") not in FINAL, f"{roll} ended before it surged: {status.get('message')}"
            return pods if released and len(own) >= replicas and status.get("phase") == "Replacing" else []

        return wait_until(f"the surge of {roll} of {self.namespace}", observe)

    def wait_until_settled(self, replicas: int, timeout_s: float = 120.0) -> list[Json]:
        """Wait until exactly this number of pods exist, all Ready and of the newest template; return them."""

        def observe() -> list[Json]:
            workload = self.get_workload()
            status, generation = workload.get("status", {}), workload["metadata"]["generation"]
            counts = {status.get(k, 0) for k in ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")}
            pods = self.list_pods()
            is_observed = str(status.get("observedGeneration")) == str(generation)  # a Rollout's is a string
            is_complete = is_observed and counts == {replicas}
            are_ready = all(is_ready(p) and not is_deleting(p) and owner_kinds(p) == ["ReplicaSet"] for p in pods)
            return [{}] if is_complete and are_ready and len(pods) == replicas else []

        wait_until(f"{replicas} settled pods in {self.namespace}", observe, timeout_s)
        return self.list_pods()

    def find_orphaned_pods(self) -> list[str]:
        """Return the names of pods with a label, annotation or owner that a roll has left."""
        return [
            p["metadata"]["name"]
            for p in self.kube.list("pods", self.namespace)
            if is_released(p) or memroll_annotations(p) or not all(kind in CONTROLLERS for kind in owner_kinds(p))
        ]

    def find_active_rolls(self) -> list[str]:
        return [r["metadata"]["name"] for r in self.list_rolls() if r.get("status", {}).get("phase") not in FINAL]

    def count_oom_kills(self) -> int:
        """Count OOM kills in pod statuses and in the kernel's events, including those of deleted pods."""
        promql = f'max_over_time(container_oom_events_total{{namespace="{self.namespace}",container="app"}}[1h])'
        for labels, value in query_prometheus(self.cluster, promql):
            self._kills.count_events(APP, str(labels.get("name") or labels.get("id")), value)
        return self._kills.of(APP)


def is_ready(pod: Json) -> bool:
    conditions = pod["status"].get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def is_deleting(pod: Json) -> bool:
    return "deletionTimestamp" in pod["metadata"]


def is_released(pod: Json) -> bool:
    return RELEASED in pod["metadata"].get("labels", {}).values()


def memroll_annotations(pod: Json) -> list[str]:
    return [k for k in pod["metadata"].get("annotations", {}) if k.startswith(ANNOTATION_PREFIX)]


def owner_kinds(pod: Json) -> list[str]:
    return [o["kind"] for o in pod["metadata"].get("ownerReferences", [])]
