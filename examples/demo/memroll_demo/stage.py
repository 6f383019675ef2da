"""Puts everything in place: namespaces, services, policies, load; and takes it away again.

All names hang on one prefix, so that a second demo, or a test with some of the services, can play on the same cluster.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from memroll_demo.site import wait_for

if TYPE_CHECKING:
    from memroll_demo.site import Site

HERE = Path(__file__).parents[1]
PREFIX = "memroll-demo"
"""The namespace in the manifests; the others' names begin with it."""
RELEASE, OPERATOR = "memroll", "memroll-system"
RATE_PER_S = 20
SERVICES = ("leaky", "leaky-fleet", "highwater", "warmup", "control")


def manifest(name: str, image: str, prefix: str = PREFIX) -> list[dict[str, Any]]:
    """Read one file of manifests/, with the image and the namespaces of this stage."""
    return placed(HERE / "manifests" / f"{name}.yaml", image, (PREFIX, prefix))


def placed(path: Path, image: str, prefixes: tuple[str, str]) -> list[dict[str, Any]]:
    """Read manifests with another image, and with namespaces that begin with the second prefix, not the first."""
    usual, wanted = prefixes
    objects = [o for o in yaml.safe_load_all(path.read_text(encoding="utf-8")) if o]
    for found in objects:
        found["metadata"]["namespace"] = wanted + found["metadata"]["namespace"].removeprefix(usual)
        for container in _containers(found):
            container["image"] = image
    return objects


def _containers(found: dict[str, Any]) -> list[dict[str, Any]]:
    spec = found.get("spec", {})
    pod = spec if found["kind"] == "Pod" else spec.get("template", {}).get("spec", {})
    containers: list[dict[str, Any]] = pod.get("containers", [])
    return containers


def selected(policy: dict[str, Any]) -> set[str]:
    """Return the services that one of the demo's policies selects."""
    selector = policy["spec"]["selector"]
    names = set(selector.get("matchLabels", {}).values())
    return names.union(*(expression["values"] for expression in selector.get("matchExpressions", [])))


def program(namespace: str) -> dict[str, Any]:
    """Return the ConfigMap that holds the programs: no image has to be built to try the demo."""
    data = {path.name: path.read_text(encoding="utf-8") for path in sorted((HERE / "service").glob("*.py"))}
    meta = {"name": "program", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


def namespace(name: str) -> dict[str, Any]:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


@dataclass(frozen=True)
class Stage:
    """Where a demo plays and which of the services play in it."""

    site: Site
    prefix: str = PREFIX
    services: tuple[str, ...] = SERVICES

    @property
    def watched(self) -> str:
        """The namespace with policies."""
        return self.prefix

    @property
    def control(self) -> str:
        """The namespace without."""
        return f"{self.prefix}-control"

    @property
    def load(self) -> str:
        return f"{self.prefix}-load"

    @property
    def namespaces(self) -> tuple[str, str, str]:
        return self.watched, self.control, self.load

    @property
    def image(self) -> str:
        """An image with python3."""
        return os.environ.get("DEMO_IMAGE") or self.site.service_image

    def namespace_of(self, service: str) -> str:
        return self.control if service == "control" else self.watched

    def clear(self) -> None:
        """Remove the services of an earlier run and wait until they are gone."""
        self.site.kubectl("delete", "namespace", *self.namespaces, "--ignore-not-found", "--timeout=120s")

    def set_up(self) -> None:
        """Create the namespaces, policies and services; return when every pod is Ready and under load."""
        for name in self.namespaces:
            self.site.apply(namespace(name), program(name))
        for service in self.services:
            self.site.apply(*manifest(service, self.image, self.prefix))
        policies = manifest("policies", self.image, self.prefix)
        self.site.apply(*(policy for policy in policies if selected(policy) & set(self.services)))
        for service in self.services:
            where = self.namespace_of(service)
            self.site.kubectl("rollout", "status", f"deployment/{service}", "-n", where, "--timeout=120s")
        self._start_load()

    def url_of(self, service: str) -> str:
        """Return the cluster address of a service."""
        found = self.site.get("service", self.namespace_of(service), service)
        return f"http://{found['spec']['clusterIP']}/"

    def _start_load(self) -> None:
        """Start the load on the services' cluster addresses."""
        targets = " ".join(f"{name}={self.url_of(name)}" for name in self.services)
        (pod,) = manifest("load", self.image, self.prefix)
        self.start_load(pod, TARGETS=targets, PER_SECOND=str(RATE_PER_S))

    def start_load(self, pod: dict[str, Any], **environment: str) -> None:
        """Start the pod of a load with this environment, and wait for it."""
        (container,) = pod["spec"]["containers"]
        container["env"] = [{"name": name, "value": value} for name, value in environment.items()]
        self.site.apply(pod)
        wait_for("the load", self.load_runs, timeout_s=60)

    def load_runs(self) -> bool:
        pod = self.site.get("pod", self.load, "load")
        return bool(pod) and pod["status"]["phase"] == "Running"

    def take_down(self) -> None:
        """Remove the demo from a cluster that stays: the policies first, so that nothing is rolled meanwhile."""
        self.site.kubectl("delete", "mempol,podrolls", "--all", "-n", self.watched, "--ignore-not-found")
        self.site.uninstall(RELEASE, OPERATOR)
        self.clear()
