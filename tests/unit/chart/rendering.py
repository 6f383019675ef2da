"""Rendering of the chart with Helm, and access to the rendered objects."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
CHART = ROOT / "deploy" / "helm" / "memroll"
RELEASE, NAMESPACE = "memroll", "memroll-system"
CONNECTION = "prometheus.connections.default"
URL = f"{CONNECTION}.url=http://prometheus.monitoring:9090"
KUBERNETES = "1.35.0"
EVERYTHING = (
    "replicaCount=2", "metrics.serviceMonitor.enabled=true", "metrics.prometheusRule.enabled=true",
    "networkPolicy.enabled=true", "rbac.aggregate.edit=true", "prometheus.secrets=[{name: token}]",
    "restart.enabled=true",
)  # fmt: skip

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""SafeLoader, or its much faster equivalent if PyYAML was built with libyaml."""

Manifest = dict[str, Any]


class HelmError(Exception):
    """Helm failed to render; the message is its output."""


@dataclass(frozen=True)
class Helm:
    """Runs Helm on the chart, and caches its output."""

    path: str
    renders: dict[tuple[str, ...], str] = field(default_factory=dict)

    def run(self, *arguments: str) -> str:
        if arguments not in self.renders:
            done = subprocess.run([self.path, *arguments], capture_output=True, text=True, check=False)
            if done.returncode:
                raise HelmError(done.stdout + done.stderr)
            self.renders[arguments] = done.stdout
        return self.renders[arguments]

    def render(
        self, *sets: str, url: bool = True, kubernetes: str = KUBERNETES, release: str = RELEASE, api: str = ""
    ) -> list[Manifest]:
        """Return the chart's objects; `sets` are name=value pairs, the value in YAML, `api` an API of the server."""
        wanted = [*([URL] if url else []), *sets]
        options = [word for pair in wanted for word in ("--set-json", _json(pair))]
        if api:
            options += ["--api-versions", api]
        return self._template(release, kubernetes, *options)

    def render_file(self, values: Path) -> list[Manifest]:
        """Return the chart's objects with the values of a file."""
        return self._template(RELEASE, KUBERNETES, "--values", str(values))

    def _template(self, release: str, kubernetes: str, *options: str) -> list[Manifest]:
        text = self.run("template", release, str(CHART), "-n", NAMESPACE, "--kube-version", kubernetes, *options)
        return [manifest for manifest in yaml.load_all(text, Loader=LOADER) if manifest]


def _json(pair: str) -> str:
    """Convert a value from YAML to JSON, which preserves its type on Helm's command line."""
    name, _, value = pair.partition("=")
    return f"{name}={json.dumps(yaml.safe_load(value))}"


def of_kind(manifests: list[Manifest], kind: str) -> list[Manifest]:
    return [m for m in manifests if m["kind"] == kind]


def named(manifests: list[Manifest], kind: str, name: str) -> Manifest:
    return next(m for m in of_kind(manifests, kind) if m["metadata"]["name"] == name)


def template(manifests: list[Manifest], kind: str = "Deployment") -> Manifest:
    found: Manifest = of_kind(manifests, kind)[0]["spec"]["template"]
    return found


def container(manifests: list[Manifest], kind: str = "Deployment") -> Manifest:
    found: Manifest = template(manifests, kind)["spec"]["containers"][0]
    return found


def pod_specs(manifests: list[Manifest]) -> dict[str, Manifest]:
    """Return the specs of all pods that the chart makes, by the name of the object."""
    templates = {m["metadata"]["name"]: m["spec"]["template"] for m in manifests if m["kind"] in {"Deployment", "Job"}}
    pods = templates | {m["metadata"]["name"]: m for m in of_kind(manifests, "Pod")}
    return {name: pod["spec"] for name, pod in pods.items()}


def environment(manifests: list[Manifest], kind: str = "Deployment") -> dict[str, str]:
    return {e["name"]: e.get("value", "from-the-pod") for e in container(manifests, kind)["env"]}
