"""Brings the cluster up from whatever is there: nothing, a half-made one, a killed one, or a running one."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

from localcluster import (
    files,
    iptables,
    kubeconfig,
    leftovers,
    network,
    node_config,
    pki,
    preflight,
    process,
    prometheus_config,
    status,
    sysctl,
)
from localcluster.api import Api
from localcluster.cache import MANIFEST
from localcluster.components import Component, all_components
from localcluster.containerd import Node
from localcluster.errors import ClusterError
from localcluster.layout import BASE_IMAGE, PAUSE_IMAGE, Layout
from localcluster.lock import exclusive
from localcluster.prepare import Parts, prepare
from localcluster.report import Report

LISTEN_SECONDS = 60
READY_SECONDS = 90
_POLL_SECONDS = 0.2
_RBAC = "/apis/rbac.authorization.k8s.io/v1"
# The programs people use; the others are the cluster's own business.
_SYSTEM_TOOLS = ("promtool",)


def up(layout: Layout, report: Report, now: datetime) -> None:
    preflight.require_root()
    with exclusive(layout.lock, report):
        preflight.require_own(layout)
        if status.read(layout).up:
            report("the cluster is up already")
            return
        preflight.require_machine(layout)
        parts = prepare(layout, report)
        configure(layout, parts, now)
        launch(layout, parts, report)
        report(f"the cluster is up: export KUBECONFIG={layout.kubeconfig}")


def configure(layout: Layout, parts: Parts, now: datetime) -> None:
    """Everything on disk and in the kernel that the processes expect. Safe to repeat."""
    for folder in (layout.state, layout.run):
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
    files.write(layout.owner, str(layout.state))
    sysctl.ensure(layout.state / "sysctl.json")
    network.ensure(layout.network)
    iptables.accept_pod_traffic(layout.network.bridge)
    pki.ensure(layout.pki, layout.network, now)
    kubeconfig.write_all(layout)
    node_config.write_all(layout, bridge_filtered=sysctl.bridge_filtered())
    prometheus_config.write(layout)
    _link_programs(layout, parts)


def launch(layout: Layout, parts: Parts, report: Report) -> None:
    leftovers.remove_dead_shim_sockets(layout)
    parts_of = all_components(layout)
    api, node = Api(layout), Node(layout.containerd_socket)
    _start(layout, [parts_of["etcd"], parts_of["containerd"]], report)
    with ThreadPoolExecutor(1) as pool:
        pause = pool.submit(_load, node, PAUSE_IMAGE, parts.pause_archive, report)
        base = pool.submit(_load, node, BASE_IMAGE, parts.base_archive, report)
        _start(layout, [parts_of["kube-apiserver"]], report)
        _wait_api(layout, api)
        heartbeat = api.heartbeat()
        api.create(f"{_RBAC}/clusterroles", prometheus_config.ROLE)
        api.create(f"{_RBAC}/clusterrolebindings", prometheus_config.BINDING)
        pause.result()
        had_kubelet = process.running(layout, "kubelet") is not None
        _start(layout, list(parts_of.values()), report)
        base.result()
    _wait_node(layout, api, None if had_kubelet else heartbeat)


def _start(layout: Layout, components: list[Component], report: Report) -> None:
    fresh = [component for component in components if process.running(layout, component.name) is None]
    for component in fresh:
        process.start(layout, component)
    for component in fresh:
        process.wait_listening(layout, component, LISTEN_SECONDS)
        report(f"{component.name} is running")


def _load(node: Node, name: str, archive: Path, report: Report) -> None:
    if name not in node.images():
        node.load(name, archive)
        report(f"loaded {name}")


def _wait_api(layout: Layout, api: Api) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not api.ready():
        process.require_running(layout, "kube-apiserver")
        _require_time(deadline, "the API server is not ready", process.log_file(layout, "kube-apiserver"))
        time.sleep(_POLL_SECONDS)


def _wait_node(layout: Layout, api: Api, old_heartbeat: str | None) -> None:
    """Wait for a Ready node by its new kubelet's word; what a killed one said last does not count."""
    deadline = time.monotonic() + READY_SECONDS
    while not api.node_ready() or api.heartbeat() == old_heartbeat:
        for name in all_components(layout):
            process.require_running(layout, name)
        _require_time(deadline, "the node is not Ready", process.log_file(layout, "kubelet"))
        time.sleep(_POLL_SECONDS)


def _require_time(deadline: float, message: str, log: Path) -> None:
    if time.monotonic() >= deadline:
        raise ClusterError(f"{message} after {READY_SECONDS} s", f"look at {log}")


def _link_programs(layout: Layout, parts: Parts) -> None:
    files_made = [path for folder in parts.programs.values() for path in folder.iterdir() if path.name != MANIFEST]
    targets = {path.name: path for path in files_made}
    targets |= {name: Path("/usr/bin") / name for name in _SYSTEM_TOOLS}
    layout.bin.mkdir(parents=True, exist_ok=True)
    for name, target in targets.items():
        files.link(layout.bin / name, target)
