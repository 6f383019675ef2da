"""Control plane of its own: etcd, an API server without kubelet, controllers and scheduler; and Prometheus."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ssl import CERT_NONE, create_default_context
from typing import TYPE_CHECKING

from tests.bench.scale.processes import free_port, running
from tests.bench.scale.traffic import COUNTS_PATH

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AsyncExitStack
    from pathlib import Path

    from tests.bench.scale.programs import Programs

TOKEN = "bench-scale"
START_S = 90
QUERY_LOG = "queries.log"
UNUSED_PLUGINS = "ServiceAccount,DefaultIngressClass,RuntimeClass,ResourceQuota,LimitRanger"


@dataclass(frozen=True)
class ControlPlane:
    """URLs and pids of the servers."""

    api_url: str
    prometheus_url: str
    query_log: Path
    pids: dict[str, int]


@contextmanager
def started(programs: Programs, folder: Path, samples: Path) -> Iterator[ControlPlane]:
    """Start the servers; stop them, the last first, at the end."""
    with ExitStack() as stack:
        etcd_url, etcd = start_etcd(stack, programs.etcd, folder)
        api_url, api_server = start_api_server(stack, programs.api_server, folder, etcd_url)
        prometheus_url, prometheus = _start_prometheus(stack, programs.prometheus, folder, samples)
        pids = {"etcd": etcd.pid, "kube-apiserver": api_server.pid, "prometheus": prometheus.pid}
        yield ControlPlane(api_url, prometheus_url, folder / QUERY_LOG, pids)


def start_etcd(stack: ExitStack, program: Path, folder: Path) -> tuple[str, subprocess.Popen[bytes]]:
    client, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    argv: list[str | Path] = [
        program,
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",
        "--quota-backend-bytes=8589934592",
        "--log-level=warn",
    ]
    process = stack.enter_context(running(argv, folder / "etcd.log"))
    wait_ready(f"{client}/health", process, folder / "etcd.log")
    return client, process


def start_api_server(
    stack: ExitStack, program: Path, folder: Path, etcd_url: str
) -> tuple[str, subprocess.Popen[bytes]]:
    port, key, public = free_port(), folder / "sa.key", folder / "sa.pub"
    subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)
    extract = ["openssl", "rsa", "-in", str(key), "-pubout", "-out", str(public)]
    subprocess.run(extract, check=True, capture_output=True)
    tokens = folder / "tokens.csv"
    tokens.write_text(f'{TOKEN},bench,bench,"system:masters"\n')
    argv: list[str | Path] = [
        program,
        f"--etcd-servers={etcd_url}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        "--endpoint-reconciler-type=none",
        f"--secure-port={port}",
        f"--cert-dir={folder / 'certificates'}",
        f"--token-auth-file={tokens}",
        "--authorization-mode=RBAC",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={public}",
        f"--service-account-signing-key-file={key}",
        f"--disable-admission-plugins={UNUSED_PLUGINS}",
        "--profiling=false",
    ]
    process = stack.enter_context(running(argv, folder / "kube-apiserver.log"))
    url = f"https://127.0.0.1:{port}"
    wait_ready(f"{url}/readyz", process, folder / "kube-apiserver.log")
    return url, process


def _start_prometheus(
    stack: ExitStack, program: Path, folder: Path, samples: Path
) -> tuple[str, subprocess.Popen[bytes]]:
    config, port = folder / "prometheus.yaml", free_port()
    config.write_text(f"global: {{query_log_file: {folder / QUERY_LOG}}}\n")
    argv: list[str | Path] = [
        program,
        f"--config.file={config}",
        f"--storage.tsdb.path={samples}",
        "--storage.tsdb.retention.time=10y",
        # No compaction: it would take CPU from the measured processes.
        "--storage.tsdb.min-block-duration=2h",
        "--storage.tsdb.max-block-duration=2h",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    process = stack.enter_context(running(argv, folder / "prometheus.log"))
    url = f"http://127.0.0.1:{port}"
    wait_ready(f"{url}/-/ready", process, folder / "prometheus.log")
    return url, process


def wait_ready(url: str, process: subprocess.Popen[bytes], log: Path, seconds: float = START_S) -> None:
    """Wait until a server answers with a success. Raise with the end of its log if it dies or is too slow."""
    context = create_default_context()
    context.check_hostname, context.verify_mode = False, CERT_NONE
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {TOKEN}"})
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(request, timeout=5, context=context):
                return
        except (OSError, urllib.error.URLError):
            if process.poll() is not None or time.monotonic() > deadline:
                end = log.read_text(errors="replace")[-2000:]
                raise RuntimeError(f"{url} is not ready; the end of {log.name}:\n{end}") from None
            time.sleep(0.2)


def start_proxy(stack: ExitStack | AsyncExitStack, kind: str, upstream: str, folder: Path, *usage: Path) -> str:
    """Start a counting proxy in front of a server, and return its URL."""
    port, log = free_port(), folder / f"proxy-{kind}.log"
    argv = [sys.executable, "-m", "tests.bench.scale.proxy", kind, upstream, str(port), *map(str, usage)]
    process = stack.enter_context(running(argv, log))
    url = f"http://127.0.0.1:{port}"
    wait_ready(url + COUNTS_PATH, process, log)
    return url
