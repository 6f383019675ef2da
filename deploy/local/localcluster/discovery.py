"""Tells Prometheus which pods ask to be scraped, as a file it watches.

Debian's Prometheus is built without its own Kubernetes discovery. This small process, a component of the
cluster like any other, takes its place: it lists the pods and writes one target per annotated pod and port.
"""

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from localcluster import files
from localcluster.api import Api
from localcluster.errors import ClusterError
from localcluster.layout import Layout

INTERVAL_SECONDS = 2
_ANNOTATION = "prometheus.io/"
_FINISHED = frozenset({"Succeeded", "Failed"})

Pod = dict[str, Any]
Target = dict[str, Any]


def main() -> None:
    layout = Layout.from_environment(os.environ, Path.home())
    api = Api(layout, client="prometheus")
    written: list[Target] | None = None
    while True:
        try:
            found = targets(api.pods())
            if found != written:
                files.write_json(layout.scrape_targets, found)
                print(f"{len(found)} targets", file=sys.stderr, flush=True)
                written = found
        except (ClusterError, OSError) as error:
            # The targets of before stay: an API server that restarts must not tear holes into series.
            print(f"cannot list the pods: {error}", file=sys.stderr, flush=True)
        time.sleep(INTERVAL_SECONDS)


def targets(pods: list[Pod]) -> list[Target]:
    return [target for pod in pods if _wants_scraping(pod) for target in _targets_of(pod)]


def _wants_scraping(pod: Pod) -> bool:
    status = pod.get("status", {})
    running = bool(status.get("podIP")) and status.get("phase") not in _FINISHED
    return running and _annotation(pod, "scrape") == "true"


def _targets_of(pod: Pod) -> list[Target]:
    wanted = _annotation(pod, "port")
    declared = [(container, port) for container, port in _declared_ports(pod) if wanted in {"", port}]
    if not declared and wanted:
        # Declaring a port is optional; the annotation's word is taken for it.
        declared = [(pod["spec"]["containers"][0]["name"], wanted)]
    return [_target(pod, container, port) for container, port in declared]


def _declared_ports(pod: Pod) -> Iterator[tuple[str, str]]:
    for container in pod["spec"]["containers"]:
        for port in container.get("ports", []):
            if port.get("protocol", "TCP") == "TCP":
                yield container["name"], str(port["containerPort"])


def _target(pod: Pod, container: str, port: str) -> Target:
    labels = {"namespace": pod["metadata"]["namespace"], "pod": pod["metadata"]["name"], "container": container}
    if path := _annotation(pod, "path"):
        labels["__metrics_path__"] = path
    if scheme := _annotation(pod, "scheme"):
        labels["__scheme__"] = scheme
    return {"targets": [f"{pod['status']['podIP']}:{port}"], "labels": labels}


def _annotation(pod: Pod, name: str) -> str:
    annotations: dict[str, str] = pod["metadata"].get("annotations") or {}
    return annotations.get(f"{_ANNOTATION}{name}", "")


if __name__ == "__main__":
    main()
