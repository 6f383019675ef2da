"""Real API server with etcd, without nodes and controllers, of the programs that the local cluster has built."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

from tests.bench.scale import control_plane
from tests.texts import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator


NAMESPACE = "apiVersion: v1\nkind: Namespace\nmetadata: {name: ai}\n"


@dataclass(frozen=True)
class RealApiServer:
    """Kubeconfig of the server, whose namespace is `ai`, and the path of kubectl."""

    kubeconfig: str
    kubectl: Path
    url: str
    etcd_url: str

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def apply(self, manifest: str, *arguments: str) -> None:
        """Create objects, or change them."""
        command = [self.kubectl, "--kubeconfig", self.kubeconfig, "apply", "--server-side", "-f", "-", *arguments]
        subprocess.run(command, input=manifest.encode(), check=True, capture_output=True)

    def read(self, *arguments: str) -> str:
        """Return the output of kubectl."""
        command = [self.kubectl, "--kubeconfig", self.kubeconfig, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def install(self) -> None:
        """Apply what `memroll crds` prints, and create the namespace."""
        environment = os.environ | {"PYTHONPATH": str(ROOT / "operator")}
        command = [sys.executable, "-m", "memroll", "crds"]
        printed = subprocess.run(command, env=environment, check=True, capture_output=True)
        self.apply(printed.stdout.decode())
        self.read("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
        self.apply(NAMESPACE)


def need_programs() -> tuple[Path, Path, Path]:
    """Return etcd, the API server and kubectl; skip the test without them."""
    command = [sys.executable, "-m", "localcluster", "bin", "kubectl"]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "deploy/local")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    etcd, kubectl = shutil.which("etcd"), Path(done.stdout.strip())
    api_server = kubectl.parent / "kube-apiserver"
    if done.returncode or etcd is None or not api_server.exists():
        _miss("there is no kube-apiserver: `make cluster-up` builds it")
    return Path(etcd), api_server, kubectl


def _miss(reason: str) -> NoReturn:
    if os.environ.get("CI") and os.environ.get("CLUSTER") != "current":
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def serving(folder: Path, etcd_url: str = "") -> Iterator[RealApiServer]:
    """Start the API server, and etcd unless it is another API server of an existing one; stop them at the end."""
    etcd, api_server, kubectl = need_programs()
    with ExitStack() as stack:
        etcd_url = etcd_url or control_plane.start_etcd(stack, etcd, folder)[0]
        url, _ = control_plane.start_api_server(stack, api_server, folder, etcd_url)
        yield RealApiServer(write_kubeconfig(folder / "kubeconfig", url), kubectl, url, etcd_url)


def write_kubeconfig(path: Path, url: str) -> str:
    """Write a kubeconfig for an API server at this address, and return its path."""
    path.write_text(json.dumps(_kubeconfig(url)))
    return str(path)


def _kubeconfig(url: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "real",
        "clusters": [{"name": "real", "cluster": {"server": url, "insecure-skip-tls-verify": True}}],
        "users": [{"name": "real", "user": {"token": control_plane.TOKEN}}],
        "contexts": [{"name": "real", "context": {"cluster": "real", "user": "real", "namespace": "ai"}}],
    }
