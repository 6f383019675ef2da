"""Brings the cluster up from any state: absent, half made, killed or running."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

from localcluster import (
    cleanup,
    files,
    iptables,
    kubeconfig,
    kubernetes_version,
    network,
    node_config,
    pki,
    preflight,
    prometheus_config,
    status,
    supervisor,
    sysctl,
)
from localcluster.api import ApiClient
from localcluster.cache import MANIFEST
from localcluster.components import Component, all_components
from localcluster.containerd import NodeImages
from localcluster.errors import ClusterError
from localcluster.lock import exclusive
from localcluster.paths import BASE_IMAGE, PAUSE_IMAGE, ClusterPaths
from localcluster.prepare import PreparedParts, prepare
from localcluster.progress import Reporter

LISTEN_SECONDS = 60
READY_SECONDS = 90
_POLL_SECONDS = 0.2
_RBAC = "/apis/rbac.authorization.k8s.io/v1"
# Debian's programs that `bin` offers.
_SYSTEM_TOOLS = ("promtool",)


def up(paths: ClusterPaths, report: Reporter, now: datetime) -> None:
    preflight.require_root()
    with exclusive(paths.lock, report):
        preflight.require_ownership(paths)
        if status.read(paths).up:
            report("the cluster is up already")
            return
        preflight.require_machine(paths)
        parts = prepare(paths, report)
        configure(paths, parts, now)
        launch(paths, parts, report)
        report(f"the cluster is up: export KUBECONFIG={paths.kubeconfig}")


def configure(paths: ClusterPaths, parts: PreparedParts, now: datetime) -> None:
    """Create everything on disk and in the kernel that the processes need. Idempotent."""
    for folder in (paths.state, paths.run):
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
    kubernetes_version.write(paths.state, paths.kubernetes)
    files.write(paths.owner, str(paths.state))
    sysctl.ensure(paths.state / "sysctl.json")
    network.ensure(paths.network)
    iptables.accept_pod_traffic(paths.network.bridge)
    pki.ensure(paths.pki, paths.network, now)
    kubeconfig.write_all(paths)
    node_config.write_all(paths, bridge_filtered=sysctl.bridge_filtered())
    prometheus_config.write(paths)
    _link_programs(paths, parts)


def launch(paths: ClusterPaths, parts: PreparedParts, report: Reporter) -> None:
    cleanup.remove_dead_shim_sockets(paths)
    components, restarts = all_components(paths), supervisor.Restarts(paths)
    api, node = ApiClient(paths), NodeImages(paths.containerd_socket)
    _start(paths, [components["etcd"], components["containerd"]], restarts, report)
    with ThreadPoolExecutor(1) as pool:
        pause = pool.submit(_load, node, PAUSE_IMAGE, parts.pause_archive, report)
        base = pool.submit(_load, node, BASE_IMAGE, parts.base_archive, report)
        _start(paths, [components["kube-apiserver"]], restarts, report)
        _wait_api(paths, api)
        heartbeat = api.last_heartbeat()
        api.create(f"{_RBAC}/clusterroles", prometheus_config.ROLE)
        api.create(f"{_RBAC}/clusterrolebindings", prometheus_config.BINDING)
        pause.result()
        had_kubelet = supervisor.find_running(paths, "kubelet") is not None
        _start(paths, list(components.values()), restarts, report)
        base.result()
    _wait_node(paths, api, None if had_kubelet else heartbeat, restarts)


def _start(paths: ClusterPaths, components: list[Component], restarts: supervisor.Restarts, report: Reporter) -> None:
    stopped = [component for component in components if supervisor.find_running(paths, component.name) is None]
    for component in stopped:
        supervisor.start(paths, component)
    for component in stopped:
        supervisor.wait_listening(paths, component, LISTEN_SECONDS, restarts)
        report(f"{component.name} is running")


def _load(node: NodeImages, name: str, archive: Path, report: Reporter) -> None:
    if name not in node.list_images():
        node.load(name, archive)
        report(f"loaded {name}")


def _wait_api(paths: ClusterPaths, api: ApiClient) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not api.is_ready():
        supervisor.require_running(paths, "kube-apiserver")
        _require_time(deadline, "the API server is not ready", supervisor.log_file(paths, "kube-apiserver"))
        time.sleep(_POLL_SECONDS)


def _wait_node(paths: ClusterPaths, api: ApiClient, old_heartbeat: str | None, restarts: supervisor.Restarts) -> None:
    """Wait until the node is Ready by a new heartbeat: the last status of a killed kubelet does not count."""
    deadline = time.monotonic() + READY_SECONDS
    while not api.is_node_ready() or api.last_heartbeat() == old_heartbeat:
        for component in all_components(paths).values():
            restarts.require_running(component)
        _require_time(deadline, "the node is not Ready", supervisor.log_file(paths, "kubelet"))
        time.sleep(_POLL_SECONDS)


def _require_time(deadline: float, message: str, log: Path) -> None:
    if time.monotonic() >= deadline:
        raise ClusterError(f"{message} after {READY_SECONDS} s", f"see {log}")


def _link_programs(paths: ClusterPaths, parts: PreparedParts) -> None:
    built = [path for folder in parts.programs.values() for path in folder.iterdir() if path.name != MANIFEST]
    targets = {path.name: path for path in built}
    targets |= {name: Path("/usr/bin") / name for name in _SYSTEM_TOOLS}
    paths.bin.mkdir(parents=True, exist_ok=True)
    for name, target in targets.items():
        files.link(paths.bin / name, target)
