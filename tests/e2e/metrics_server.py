"""Substitute for metrics-server: a program for a pod, without dependencies. It serves the memory that pods annotate.

The aggregated API `metrics.k8s.io` is what a HorizontalPodAutoscaler reads. For each running pod that the request's
label selector selects, the response has the value of the annotation `example.com/memory`.
"""

from __future__ import annotations

import json
import os
import ssl
import urllib.parse
import urllib.request
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ANNOTATION = "example.com/memory"
PORT = 8443
TLS = Path("/tls")
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
GROUP = "/apis/metrics.k8s.io/v1beta1"
RESOURCES = {
    "kind": "APIResourceList",
    "apiVersion": "v1",
    "groupVersion": "metrics.k8s.io/v1beta1",
    "resources": [{"name": "pods", "namespaced": True, "kind": "PodMetrics", "verbs": ["get", "list"]}],
}


def list_pods(namespace: str, query: str) -> list[dict]:
    """Return the pods of a namespace that the query selects, read with the pod's own service account."""
    host = f"{os.environ['KUBERNETES_SERVICE_HOST']}:{os.environ['KUBERNETES_SERVICE_PORT']}"
    selector = urllib.parse.parse_qs(query).get("labelSelector", [""])[0]
    url = f"https://{host}/api/v1/namespaces/{namespace}/pods?{urllib.parse.urlencode({'labelSelector': selector})}"
    token = (ACCOUNT / "token").read_text(encoding="ascii")
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    context = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    with urllib.request.urlopen(request, timeout=10, context=context) as response:
        return json.load(response)["items"]


def pod_metrics(pod: dict) -> dict:
    meta = pod["metadata"]
    usage = {"cpu": "1m", "memory": meta["annotations"][ANNOTATION]}
    return {
        "metadata": {"name": meta["name"], "namespace": meta["namespace"], "labels": meta.get("labels", {})},
        "timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),  # noqa: TID251 - a program of its own
        "window": "10s",
        "containers": [{"name": c["name"], "usage": usage} for c in pod["spec"]["containers"]],
    }


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        parts = path.removeprefix(GROUP).strip("/").split("/")
        if path == GROUP:
            self.respond(200, RESOURCES)
        elif path.startswith(GROUP) and parts[0] == "namespaces" and parts[2:] == ["pods"]:
            pods = [p for p in list_pods(parts[1], query) if p["status"].get("phase") == "Running"]
            items = [pod_metrics(p) for p in pods if ANNOTATION in p["metadata"].get("annotations", {})]
            kind = {"kind": "PodMetricsList", "apiVersion": "metrics.k8s.io/v1beta1"}
            self.respond(200, kind | {"metadata": {}, "items": items})
        else:
            self.respond(404, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404})

    def respond(self, status: int, body: dict) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def main() -> None:
    server = ThreadingHTTPServer(("", PORT), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "tls.crt", TLS / "tls.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
