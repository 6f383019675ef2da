"""Processes of the cluster: command line, listeners, and the time to stop of each."""

import sys
from dataclasses import dataclass
from pathlib import Path

from localcluster import kubeconfig
from localcluster.kubernetes_version import KubernetesVersion
from localcluster.paths import NODE, ClusterPaths
from localcluster.pki import FRONT_PROXY


@dataclass(frozen=True)
class Listener:
    address: str
    port: int


@dataclass(frozen=True)
class Component:
    name: str
    argv: tuple[str, ...]
    listeners: tuple[Listener, ...] = ()
    socket: Path | None = None
    stop_seconds: float = 20
    environment: tuple[tuple[str, str], ...] = ()


LOCAL = "127.0.0.1"
LACKS_CADVISOR_FLAGS = KubernetesVersion(1, 37)
"""First version whose kubelet has no flag for the socket that cAdvisor reads: see kubernetes-1.37/containerd.go."""


def all_components(paths: ClusterPaths) -> dict[str, Component]:
    """Return the components by name, in the order in which they start."""
    factories = (
        _etcd,
        _containerd,
        _api_server,
        _controller_manager,
        _scheduler,
        _kubelet,
        _kube_proxy,
        _discovery,
        _prometheus,
    )
    return {component.name: component for component in (make(paths) for make in factories)}


def optional_components(paths: ClusterPaths) -> dict[str, Component]:
    """Return the components that run only after `start NAME`."""
    rollouts = _argo_rollouts(paths)
    return {rollouts.name: rollouts}


def _etcd(paths: ClusterPaths) -> Component:
    ports, pki = paths.ports, paths.pki
    client, peer = f"https://{LOCAL}:{ports.etcd}", f"http://{LOCAL}:{ports.etcd_peer}"
    argv = (
        "/usr/bin/etcd",
        f"--name={NODE}",
        f"--data-dir={paths.state / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster={NODE}={peer}",
        f"--cert-file={pki / 'etcd.crt'}",
        f"--key-file={pki / 'etcd.key'}",
        "--client-cert-auth",
        f"--trusted-ca-file={pki / 'ca.crt'}",
        # The data must survive a killed process, not a machine that loses power.
        "--unsafe-no-fsync",
    )
    return Component("etcd", argv, (Listener(LOCAL, ports.etcd), Listener(LOCAL, ports.etcd_peer)))


def _containerd(paths: ClusterPaths) -> Component:
    argv = ("/usr/bin/containerd", f"--config={paths.config / 'containerd.toml'}")
    return Component("containerd", argv, socket=paths.containerd_socket)


def _api_server(paths: ClusterPaths) -> Component:
    network, ports, pki = paths.network, paths.ports, paths.pki
    argv = (
        str(paths.bin / "kube-apiserver"),
        f"--bind-address={network.address}",
        f"--advertise-address={network.address}",
        f"--secure-port={ports.api}",
        f"--service-cluster-ip-range={network.services}",
        f"--etcd-servers=https://{LOCAL}:{ports.etcd}",
        f"--etcd-cafile={pki / 'ca.crt'}",
        f"--etcd-certfile={pki / 'etcd.crt'}",
        f"--etcd-keyfile={pki / 'etcd.key'}",
        f"--client-ca-file={pki / 'ca.crt'}",
        f"--tls-cert-file={pki / 'apiserver.crt'}",
        f"--tls-private-key-file={pki / 'apiserver.key'}",
        f"--kubelet-certificate-authority={pki / 'ca.crt'}",
        f"--kubelet-client-certificate={pki / 'apiserver-kubelet.crt'}",
        f"--kubelet-client-key={pki / 'apiserver-kubelet.key'}",
        "--kubelet-preferred-address-types=InternalIP",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={pki / 'service-accounts.pub'}",
        f"--service-account-signing-key-file={pki / 'service-accounts.key'}",
        # Aggregated APIs such as a metrics server.
        f"--requestheader-client-ca-file={pki / 'ca.crt'}",
        f"--requestheader-allowed-names={FRONT_PROXY}",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-username-headers=X-Remote-User",
        f"--proxy-client-cert-file={pki / 'front-proxy.crt'}",
        f"--proxy-client-key-file={pki / 'front-proxy.key'}",
        "--enable-aggregator-routing=true",
    )
    # Open watches delay its exit by up to half a minute.
    return Component("kube-apiserver", argv, (Listener(str(network.address), ports.api),), stop_seconds=45)


def _controller_manager(paths: ClusterPaths) -> Component:
    pki, config = paths.pki, kubeconfig.path(paths, "controller-manager")
    argv = (
        str(paths.bin / "kube-controller-manager"),
        f"--bind-address={LOCAL}",
        f"--secure-port={paths.ports.controller_manager}",
        f"--kubeconfig={config}",
        f"--authentication-kubeconfig={config}",
        f"--authorization-kubeconfig={config}",
        "--leader-elect=false",
        f"--root-ca-file={pki / 'ca.crt'}",
        f"--service-account-private-key-file={pki / 'service-accounts.key'}",
        f"--cluster-signing-cert-file={pki / 'ca.crt'}",
        f"--cluster-signing-key-file={pki / 'ca.key'}",
        "--use-service-account-credentials=true",
        f"--flex-volume-plugin-dir={paths.state / 'volume-plugins'}",
    )
    return Component("kube-controller-manager", argv, (Listener(LOCAL, paths.ports.controller_manager),))


def _scheduler(paths: ClusterPaths) -> Component:
    config = kubeconfig.path(paths, "scheduler")
    argv = (
        str(paths.bin / "kube-scheduler"),
        f"--bind-address={LOCAL}",
        f"--secure-port={paths.ports.scheduler}",
        f"--kubeconfig={config}",
        f"--authentication-kubeconfig={config}",
        f"--authorization-kubeconfig={config}",
        "--leader-elect=false",
    )
    return Component("kube-scheduler", argv, (Listener(LOCAL, paths.ports.scheduler),))


def _kubelet(paths: ClusterPaths) -> Component:
    address = str(paths.network.address)
    argv = (
        str(paths.bin / "kubelet"),
        f"--config={paths.config / 'kubelet.yaml'}",
        f"--kubeconfig={kubeconfig.path(paths, 'kubelet')}",
        f"--root-dir={paths.state / 'kubelet'}",
        f"--hostname-override={NODE}",
        f"--node-ip={address}",
        "--housekeeping-interval=5s",
    )
    # Without the socket cAdvisor sees control groups only, and exports no container, name or image labels.
    socket = str(paths.containerd_socket)
    listeners = (Listener(address, paths.ports.kubelet), Listener(LOCAL, paths.ports.kubelet_health))
    if paths.kubernetes >= LACKS_CADVISOR_FLAGS:
        return Component("kubelet", argv, listeners, environment=(("MEMROLL_CONTAINERD", socket),))
    return Component("kubelet", (*argv, f"--containerd={socket}"), listeners)


def _kube_proxy(paths: ClusterPaths) -> Component:
    argv = (
        str(paths.bin / "kube-proxy"),
        f"--config={paths.config / 'kube-proxy.yaml'}",
        f"--hostname-override={NODE}",
    )
    listeners = (Listener(LOCAL, paths.ports.proxy_health), Listener(LOCAL, paths.ports.proxy_metrics))
    return Component("kube-proxy", argv, listeners)


def _discovery(paths: ClusterPaths) -> Component:
    environment = (("PYTHONPATH", str(paths.source)), ("MEMROLL_CLUSTER_DIR", str(paths.state)))
    argv = (sys.executable, "-m", "localcluster.discovery")
    return Component("prometheus-discovery", argv, environment=environment)


def _prometheus(paths: ClusterPaths) -> Component:
    address, port = str(paths.network.address), paths.ports.prometheus
    argv = (
        "/usr/bin/prometheus",
        f"--config.file={paths.config / 'prometheus.yaml'}",
        f"--storage.tsdb.path={paths.state / 'prometheus'}",
        "--storage.tsdb.retention.time=1d",
        f"--web.listen-address={address}:{port}",
        "--web.enable-lifecycle",
        "--web.enable-admin-api",
    )
    return Component("prometheus", argv, (Listener(address, port),))


def _argo_rollouts(paths: ClusterPaths) -> Component:
    """Return the controller of Rollouts. It listens on all addresses: no flag restricts that."""
    ports = paths.ports
    argv = (
        str(paths.bin / "argo-rollouts"),
        f"--kubeconfig={paths.kubeconfig}",
        "--leader-elect=false",
        "--loglevel=warn",
        f"--metricsport={ports.rollouts_metrics}",
        f"--healthzPort={ports.rollouts_health}",
    )
    return Component("argo-rollouts", argv, (Listener(LOCAL, ports.rollouts_health),))
