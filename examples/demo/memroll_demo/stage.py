"""Puts everything in place: namespaces, services, policies, load; and takes it away again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from memroll_demo.site import wait_for

if TYPE_CHECKING:
    from memroll_demo.site import Site

HERE = Path(__file__).parents[1]
WATCHED, CONTROL, LOAD = "memroll-demo", "memroll-demo-control", "memroll-demo-load"
OPERATOR = "memroll-system"
RELEASE = "memroll"
SERVICES = {
    "leaky": WATCHED,
    "leaky-fleet": WATCHED,
    "highwater": WATCHED,
    "warmup": WATCHED,
    "control": CONTROL,
}
"""The demo's services and the namespace of each."""


def manifest(name: str, image: str) -> list[dict[str, Any]]:
    """Read one file of manifests/, with the image of this cluster."""
    text = (HERE / "manifests" / f"{name}.yaml").read_text(encoding="utf-8")
    objects = [o for o in yaml.safe_load_all(text) if o]
    for found in objects:
        for container in _containers(found):
            container["image"] = image
    return objects


def _containers(found: dict[str, Any]) -> list[dict[str, Any]]:
    spec = found.get("spec", {})
    pod = spec if found["kind"] == "Pod" else spec.get("template", {}).get("spec", {})
    containers: list[dict[str, Any]] = pod.get("containers", [])
    return containers


def program(namespace: str) -> dict[str, Any]:
    """Return the ConfigMap that holds the programs: no image has to be built to try the demo."""
    data = {path.name: path.read_text(encoding="utf-8") for path in sorted((HERE / "service").glob("*.py"))}
    meta = {"name": "program", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


def namespace(name: str) -> dict[str, Any]:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def clear(site: Site) -> None:
    """Remove the services of an earlier run and wait until they are gone."""
    for name in (WATCHED, CONTROL, LOAD):
        site.kubectl("delete", "namespace", name, "--ignore-not-found", "--timeout=120s")


def set_up(site: Site) -> None:
    """Create the namespaces, policies and services; return when every pod is Ready."""
    image = os.environ.get("DEMO_IMAGE") or site.service_image
    for name in (WATCHED, CONTROL, LOAD):
        site.apply(namespace(name), program(name))
    for service in SERVICES:
        site.apply(*manifest(service, image))
    site.apply(*manifest("policies", image))
    for service, where in SERVICES.items():
        site.kubectl("rollout", "status", f"deployment/{service}", "-n", where, "--timeout=120s")
    start_load(site, image, SERVICES)


def start_load(site: Site, image: str, services: dict[str, str]) -> None:
    """Start the load on the services' cluster addresses."""
    addresses = {name: site.get("service", where, name)["spec"]["clusterIP"] for name, where in services.items()}
    (pod,) = manifest("load", image)
    (container,) = pod["spec"]["containers"]
    for variable in container["env"]:
        if variable["name"] == "TARGETS":
            variable["value"] = " ".join(f"{name}=http://{address}/" for name, address in addresses.items())
    site.apply(pod)
    wait_for("the load", lambda: site.get("pod", LOAD, "load")["status"]["phase"] == "Running", timeout_s=60)


def take_down(site: Site) -> None:
    """Remove the demo from a cluster that stays: the policies first, so that nothing is rolled meanwhile."""
    site.kubectl("delete", "mempol,podrolls", "--all", "-n", WATCHED, "--ignore-not-found")
    site.uninstall(RELEASE, OPERATOR)
    clear(site)
