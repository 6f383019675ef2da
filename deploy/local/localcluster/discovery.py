"""Service discovery for Prometheus: writes the annotated pods as scrape targets to a file that Prometheus watches.

Debian's Prometheus is built without Kubernetes discovery. This process, a component of the cluster, replaces it: it
lists the pods and writes one target for each annotated pod and port.
"""

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from localcluster import files
from localcluster.api import ApiClient
from localcluster.errors import ClusterError
from localcluster.paths import ClusterPaths

INTERVAL_SECONDS = 2
_ANNOTATION = "prometheus.io/"
_FINISHED = frozenset({"Succeeded", "Failed"})

Pod = dict[str, Any]
Target = dict[str, Any]


def main() -> None:
    paths = ClusterPaths.from_environment(os.environ, Path.home())
    api = ApiClient(paths, client="prometheus")
    written: list[Target] | None = None
    while True:
        try:
            found = make_targets(api.list_pods())
            if found != written:
                files.write_json(paths.scrape_targets, found)
                print(f"{len(found)} targets", file=sys.stderr, flush=True)
                written = found
        except (ClusterError, OSError) as error:
            # Keep the previous targets: a restart of the API server must not leave gaps in the series.
            print(f"cannot list the pods: {error}", file=sys.stderr, flush=True)
        time.sleep(INTERVAL_SECONDS)


def make_targets(pods: list[Pod]) -> list[Target]:
    return [target for pod in pods if _is_scraped(pod) for target in _make_pod_targets(pod)]


def _is_scraped(pod: Pod) -> bool:
    status = pod.get("status", {})
    running = bool(status.get("podIP")) and status.get("phase") not in _FINISHED
    return running and _annotation(pod, "scrape") == "true"


def _make_pod_targets(pod: Pod) -> list[Target]:
    annotated = _annotation(pod, "port")
    declared = [(container, port) for container, port in _declared_ports(pod) if annotated in {"", port}]
    if not declared and annotated:
        # Declaring a port is optional; the annotation suffices.
        declared = [(pod["spec"]["containers"][0]["name"], annotated)]
    return [_make_target(pod, container, port) for container, port in declared]


def _declared_ports(pod: Pod) -> Iterator[tuple[str, str]]:
    for container in pod["spec"]["containers"]:
        for port in container.get("ports", []):
            if port.get("protocol", "TCP") == "TCP":
                yield container["name"], str(port["containerPort"])


def _make_target(pod: Pod, container: str, port: str) -> Target:
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
