"""Client of the API server through one `kubectl proxy`: a kubectl process per request would need the pods' CPU."""

from __future__ import annotations

import json
import os
import re
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memroll_demo.cluster import DemoCluster

Json = dict[str, Any]

TIMEOUT_S = 20.0
NOT_FOUND = 404
MERGE_PATCH = "application/merge-patch+json"
PREFIXES = {
    "pods": "/api/v1",
    "services": "/api/v1",
    "configmaps": "/api/v1",
    "namespaces": "/api/v1",
    "events": "/api/v1",
    "nodes": "/api/v1",
    "resourcequotas": "/api/v1",
    "deployments": "/apis/apps/v1",
    "replicasets": "/apis/apps/v1",
    "statefulsets": "/apis/apps/v1",
    "horizontalpodautoscalers": "/apis/autoscaling/v2",
    "poddisruptionbudgets": "/apis/policy/v1",
    "networkpolicies": "/apis/networking.k8s.io/v1",
    "rollouts": "/apis/argoproj.io/v1alpha1",
    "podrolls": "/apis/memroll.dev/v1alpha1",
    "memorypolicies": "/apis/memroll.dev/v1alpha1",
}


class RejectedWriteError(AssertionError):
    """The API server rejected a write."""


class KubectlProxy:
    """Client for plain JSON, as a context manager that runs `kubectl proxy`."""

    def __init__(self, cluster: DemoCluster) -> None:
        self.kubeconfig = cluster.kubeconfig
        environment = os.environ | {"KUBECONFIG": cluster.kubeconfig}
        self._proxy = subprocess.Popen(
            [cluster.kubectl_path, "proxy", "--port=0"], env=environment, stdout=subprocess.PIPE, text=True
        )
        assert self._proxy.stdout is not None, "stdout is a pipe"
        line = self._proxy.stdout.readline()
        found = re.search(r"127\.0\.0\.1:\d+", line)
        assert found, f"unexpected output of kubectl proxy: {line!r}"
        self._url = f"http://{found[0]}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._proxy.terminate()
        self._proxy.wait(10)
        if self._proxy.stdout:
            self._proxy.stdout.close()

    def get(self, plural: str, namespace: str, name: str) -> Json | None:
        """Return an object, or None when there is none."""
        try:
            return self._request("GET", resource_path(plural, namespace, name))
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == NOT_FOUND:
                return None
            raise

    def list(self, plural: str, namespace: str, selector: str = "") -> list[Json]:
        """Return the objects of a list, each with its apiVersion and kind, as from `get`."""
        query = f"?labelSelector={urllib.parse.quote(selector)}" if selector else ""
        found = self._request("GET", resource_path(plural, namespace) + query)
        kind = {"apiVersion": found["apiVersion"], "kind": found["kind"].removesuffix("List")}
        return [kind | item for item in found["items"]]

    def create(self, plural: str, namespace: str, body: Json) -> Json:
        return self._write("POST", resource_path(plural, namespace), body)

    def post(self, plural: str, namespace: str, name: str, subresource: str, body: Json) -> Json:
        return self._write("POST", f"{resource_path(plural, namespace, name)}/{subresource}", body)

    def patch(self, plural: str, namespace: str, name: str, body: Json) -> Json:
        return self._write("PATCH", resource_path(plural, namespace, name), body, MERGE_PATCH)

    def delete(self, plural: str, namespace: str, name: str, propagation: str = "") -> None:
        """Delete an object, unless it does not exist; `propagation` as in `kubectl delete --cascade`."""
        options = {"propagationPolicy": propagation} if propagation else None
        try:
            self._request("DELETE", resource_path(plural, namespace, name), options)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code != NOT_FOUND:
                raise

    def _write(self, method: str, path: str, body: Json, content_type: str = "application/json") -> Json:
        try:
            return self._request(method, path, body, content_type)
        except urllib.error.HTTPError as error:
            text = error.read().decode(errors="replace")[:500]
            raise RejectedWriteError(f"{method} {path}: {error.code} {text}") from error

    def _request(
        self, method: str, path: str, body: Json | None = None, content_type: str = "application/json"
    ) -> Json:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data, {"Content-Type": content_type}, method=method)
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
            found: Json = json.load(response)
            return found


def resource_path(plural: str, namespace: str = "", name: str = "") -> str:
    parts = [PREFIXES[plural]]
    parts += ["namespaces", namespace] if namespace else []
    return "/".join([*parts, plural, *([name] if name else [])])


def query_prometheus(cluster: DemoCluster, promql: str) -> Iterator[tuple[Json, float]]:
    """Yield the labels and the value of each series of an instant query."""
    url = f"{cluster.prometheus_url}/api/v1/query?{urllib.parse.urlencode({'query': promql})}"
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response:
        for row in json.load(response)["data"]["result"]:
            yield row["metric"], float(row["value"][1])
