"""Set up and remove a demo's namespaces, services, policies and load.

All namespaces have one prefix, so that a second demo or a test with some of the services can use the same cluster.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from memroll_demo.cluster import wait_for

if TYPE_CHECKING:
    from memroll_demo.cluster import DemoCluster

HERE = Path(__file__).parents[1]
PREFIX = "memroll-demo"
"""Namespace in the manifests, and prefix of the other namespaces."""
RELEASE, OPERATOR = "memroll", "memroll-system"
RATE_PER_S = 20
"""Requests per second to each service."""
SERVICES = ("leaky", "leaky-fleet", "highwater", "warmup", "control")


def load_demo_manifests(name: str, image: str, prefix: str = PREFIX) -> list[dict[str, Any]]:
    """Load one file of the folder `manifests`, with this image and prefix of namespaces."""
    return load_manifests(HERE / "manifests" / f"{name}.yaml", image, (PREFIX, prefix))


def load_manifests(path: Path, image: str, prefixes: tuple[str, str]) -> list[dict[str, Any]]:
    """Load manifests; replace the image, and the first prefix of the namespaces by the second."""
    old_prefix, new_prefix = prefixes
    objects = [o for o in yaml.safe_load_all(path.read_text(encoding="utf-8")) if o]
    for obj in objects:
        obj["metadata"]["namespace"] = new_prefix + obj["metadata"]["namespace"].removeprefix(old_prefix)
        for container in _containers(obj):
            container["image"] = image
    return objects


def _containers(obj: dict[str, Any]) -> list[dict[str, Any]]:
    spec = obj.get("spec", {})
    pod = spec if obj["kind"] == "Pod" else spec.get("template", {}).get("spec", {})
    containers: list[dict[str, Any]] = pod.get("containers", [])
    return containers


def selected_services(policy: dict[str, Any]) -> set[str]:
    """Return the services that one of the demo's policies selects."""
    selector = policy["spec"]["selector"]
    names = set(selector.get("matchLabels", {}).values())
    return names.union(*(expression["values"] for expression in selector.get("matchExpressions", [])))


def program_config_map(namespace: str) -> dict[str, Any]:
    """Return a ConfigMap with the services' programs, so that no image has to be built."""
    data = {path.name: path.read_text(encoding="utf-8") for path in sorted((HERE / "service").glob("*.py"))}
    meta = {"name": "program", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


def namespace_manifest(name: str) -> dict[str, Any]:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


@dataclass(frozen=True)
class DemoScenario:
    """Services of a demo on a cluster, in namespaces with one prefix."""

    cluster: DemoCluster
    prefix: str = PREFIX
    services: tuple[str, ...] = SERVICES

    @property
    def watched(self) -> str:
        """Namespace with policies."""
        return self.prefix

    @property
    def control(self) -> str:
        """Namespace without policies."""
        return f"{self.prefix}-control"

    @property
    def load(self) -> str:
        return f"{self.prefix}-load"

    @property
    def namespaces(self) -> tuple[str, str, str]:
        return self.watched, self.control, self.load

    @property
    def image(self) -> str:
        """Image that contains python3."""
        return os.environ.get("DEMO_IMAGE") or self.cluster.service_image

    def namespace_of(self, service: str) -> str:
        return self.control if service == "control" else self.watched

    def delete_namespaces(self) -> None:
        """Delete the namespaces, with the services of an earlier run, and wait until they are gone."""
        self.cluster.kubectl("delete", "namespace", *self.namespaces, "--ignore-not-found", "--timeout=120s")

    def set_up(self) -> None:
        """Create the namespaces, policies and services; return when every pod is Ready and under load."""
        for name in self.namespaces:
            self.cluster.apply(namespace_manifest(name), program_config_map(name))
        for service in self.services:
            self.cluster.apply(*load_demo_manifests(service, self.image, self.prefix))
        policies = load_demo_manifests("policies", self.image, self.prefix)
        self.cluster.apply(*(policy for policy in policies if selected_services(policy) & set(self.services)))
        for service in self.services:
            namespace = self.namespace_of(service)
            self.cluster.kubectl("rollout", "status", f"deployment/{service}", "-n", namespace, "--timeout=120s")
        self._start_demo_load()

    def url_of(self, service: str) -> str:
        """Return the URL of a service, with its cluster IP."""
        manifest = self.cluster.get("service", self.namespace_of(service), service)
        return f"http://{manifest['spec']['clusterIP']}/"

    def _start_demo_load(self) -> None:
        """Start the load on the services' cluster IPs."""
        targets = " ".join(f"{name}={self.url_of(name)}" for name in self.services)
        (pod,) = load_demo_manifests("load", self.image, self.prefix)
        self.start_load(pod, TARGETS=targets, PER_SECOND=str(RATE_PER_S))

    def start_load(self, pod: dict[str, Any], **environment: str) -> None:
        """Create the load's pod with this environment, and wait until it runs."""
        (container,) = pod["spec"]["containers"]
        container["env"] = [{"name": name, "value": value} for name, value in environment.items()]
        self.cluster.apply(pod)
        wait_for("the load", self.is_load_running, timeout_s=60)

    def is_load_running(self) -> bool:
        pod = self.cluster.get("pod", self.load, "load")
        return bool(pod) and pod["status"]["phase"] == "Running"

    def tear_down(self) -> None:
        """Remove the demo from a cluster that stays up; the policies first, so that nothing is rolled meanwhile."""
        self.cluster.kubectl("delete", "mempol,podrolls", "--all", "-n", self.watched, "--ignore-not-found")
        self.cluster.uninstall(RELEASE, OPERATOR)
        self.delete_namespaces()
