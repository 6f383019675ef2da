"""The pod of `helm test`, whose script runs against a local HTTP server."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from tests.unit.chart.rendering import of_kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.chart.rendering import Helm, Manifest

NOBODY = "nobody leads: memroll was uninstalled"


class OperatorHandler(BaseHTTPRequestHandler):
    """Responds like the operator; `leader` holds status and text of `/leader`."""

    leader = (200, "standby: memroll-1 leads")

    def do_GET(self) -> None:
        texts = {"/readyz": (200, "ok"), "/leader": self.leader, "/metrics": (200, "memroll_build_info 1")}
        status, text = texts[self.path]
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that http.server uses
        """Log nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), OperatorHandler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def ready_pod(helm: Helm, *sets: str) -> Manifest:
    (pod,) = (m for m in of_kind(helm.render(*sets), "Pod") if m["metadata"]["name"].endswith("-ready"))
    return pod


def run_script(helm: Helm, port: int) -> subprocess.CompletedProcess[str]:
    """Run the pod's script, with fewer and shorter pauses."""
    pod = ready_pod(helm, f"http.port={port}")
    script = pod["spec"]["containers"][0]["command"][-1]
    quick, replaced = re.subn(r"range\(20\)|sleep\(3\)", lambda m: m[0].replace("20", "2").replace("3", "0"), script)
    assert replaced == 2
    environment = {"MEMROLL_SERVICE_HOST": "127.0.0.1", "no_proxy": "*"}
    return subprocess.run(
        [sys.executable, "-c", quick], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_it_reports_who_leads(helm: Helm, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OperatorHandler, "leader", (200, "standby: memroll-1 leads"))
    done = run_script(helm, port)
    assert (done.returncode, done.stdout.strip()) == (0, "ready: standby: memroll-1 leads")


def test_it_fails_with_the_reason_if_nobody_leads(helm: Helm, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OperatorHandler, "leader", (503, NOBODY))
    done = run_script(helm, port)
    assert done.returncode == 1
    assert done.stdout.splitlines() == [f"not ready: {NOBODY}"] * 2


def test_helm_prints_its_log(helm: Helm) -> None:
    annotations = ready_pod(helm)["metadata"]["annotations"]
    assert set(annotations["helm.sh/hook-output-log-policy"].split(",")) == {"hook-succeeded", "hook-failed"}


def test_the_preflight_runs_with_the_settings_and_the_connections_of_the_operator(helm: Helm) -> None:
    rendered = helm.render(
        "prometheus.secrets[0].name=token",
        "prometheus.connections.default.authorization.credentialsFile=/etc/memroll/secrets/token/t",
    )
    (pod,) = (m for m in of_kind(rendered, "Pod") if m["metadata"]["name"].endswith("-check"))
    (deployment,) = of_kind(rendered, "Deployment")
    template = deployment["spec"]["template"]["spec"]
    (container,), (operator,) = pod["spec"]["containers"], template["containers"]
    assert container["args"] == ["check"]
    for field in ("env", "image", "volumeMounts", "securityContext"):
        assert container[field] == operator[field]
    for field in ("volumes", "serviceAccountName", "securityContext", "enableServiceLinks"):
        assert pod["spec"][field] == template[field]
