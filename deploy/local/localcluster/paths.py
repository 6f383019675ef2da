"""Folders, addresses and names of the cluster. Values only, no I/O."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from localcluster.kubernetes_version import DEFAULT, KubernetesVersion

NODE = "memroll-local"
BASE_IMAGE = "localhost/memroll-base:bookworm"
PAUSE_IMAGE = "localhost/memroll-pause:1"
CLUSTER_DOMAIN = "cluster.local"


@dataclass(frozen=True)
class Network:
    """Bridge and address ranges. The bridge's address is the node's; pods and services are reached through it."""

    bridge: str
    pods: IPv4Network
    services: IPv4Network

    @property
    def address(self) -> IPv4Address:
        return self.pods[1]

    @property
    def first_pod(self) -> IPv4Address:
        return self.pods[10]

    @property
    def api_service(self) -> IPv4Address:
        return self.services[1]


@dataclass(frozen=True)
class Ports:
    """Listening ports. Those of etcd and Prometheus differ from the ones of Debian's own services."""

    api: int = 6443
    etcd: int = 22379
    etcd_peer: int = 22380
    controller_manager: int = 10257
    scheduler: int = 10259
    kubelet: int = 10250
    kubelet_health: int = 10248
    proxy_health: int = 10256
    proxy_metrics: int = 10249
    prometheus: int = 19090
    rollouts_metrics: int = 18090
    rollouts_health: int = 18080


NETWORK = Network("memroll0", IPv4Network("10.231.0.0/24"), IPv4Network("10.232.0.0/16"))


@dataclass(frozen=True)
class ClusterPaths:
    """Folders, addresses and Kubernetes version of one cluster."""

    source: Path
    cache: Path
    state: Path
    run: Path = Path("/run/memroll-local")
    network: Network = NETWORK
    ports: Ports = Ports()
    kubernetes: KubernetesVersion = DEFAULT

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], home: Path) -> "ClusterPaths":
        cache = Path(environment.get("XDG_CACHE_HOME") or home / ".cache") / "memroll"
        state = Path(environment.get("MEMROLL_CLUSTER_DIR") or "/var/lib/memroll-local")
        return cls(source=Path(__file__).resolve().parent.parent, cache=cache.absolute(), state=state.absolute())

    @property
    def lock(self) -> Path:
        """Lock file, outside both folders: there is one cluster per machine, and the lock outlives `down`."""
        return self.run.with_name(f"{self.run.name}.lock")

    @property
    def build_logs(self) -> Path:
        return self.cache / "logs"

    @property
    def pki(self) -> Path:
        return self.state / "pki"

    @property
    def config(self) -> Path:
        return self.state / "config"

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def pids(self) -> Path:
        return self.state / "pids"

    @property
    def bin(self) -> Path:
        return self.state / "bin"

    @property
    def kubeconfig(self) -> Path:
        return self.state / "kubeconfig"

    @property
    def owner(self) -> Path:
        """File with the state folder of the cluster that has this machine's bridge, sockets and ports."""
        return self.run / "owner"

    @property
    def containerd_socket(self) -> Path:
        return self.run / "containerd.sock"

    @property
    def pod_logs(self) -> Path:
        return self.state / "pod-logs"

    @property
    def scrape_targets(self) -> Path:
        return self.state / "scrape" / "pods.json"

    @property
    def api_server(self) -> str:
        return f"https://{self.network.address}:{self.ports.api}"

    @property
    def prometheus_url(self) -> str:
        return f"http://{self.network.address}:{self.ports.prometheus}"

    @property
    def cluster_id(self) -> str:
        """Mark of this cluster's processes, which distinguishes them from those of another state folder."""
        return hashlib.sha256(str(self.state).encode()).hexdigest()[:12]
