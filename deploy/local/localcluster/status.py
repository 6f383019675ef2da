"""Status of the cluster and its components, as text and as JSON."""

from dataclasses import dataclass

from localcluster import supervisor
from localcluster.api import ApiClient
from localcluster.components import all_components, optional_components
from localcluster.paths import BASE_IMAGE, NODE, ClusterPaths

PROGRAMS = ("kubectl", "helm", "promtool")


@dataclass(frozen=True)
class ClusterStatus:
    paths: ClusterPaths
    pids: dict[str, int | None]
    api_ready: bool
    node_ready: bool

    @property
    def up(self) -> bool:
        return self.api_ready and self.node_ready and None not in self.pids.values()

    def as_json(self) -> dict[str, object]:
        paths = self.paths
        return {
            "up": self.up,
            "node": NODE,
            "kubernetes": str(paths.kubernetes),
            "kubeconfig": str(paths.kubeconfig),
            "bin_dir": str(paths.bin),
            "prometheus_url": paths.prometheus_url,
            "bridge_address": str(paths.network.address),
            "api_server": paths.api_server,
            "base_image": BASE_IMAGE,
            "logs_dir": str(paths.logs),
            "components": {name: {"pid": pid, "running": pid is not None} for name, pid in self.pids.items()},
        }

    def as_text(self) -> str:
        rows = [("cluster", "up" if self.up else "down"), ("node", "Ready" if self.node_ready else "not Ready")]
        rows.append(("kubernetes", str(self.paths.kubernetes)))
        rows += [(name, f"running, pid {pid}" if pid else "not running") for name, pid in self.pids.items()]
        if self.up:
            rows += [
                ("kubeconfig", str(self.paths.kubeconfig)),
                ("prometheus", self.paths.prometheus_url),
                ("logs", str(self.paths.logs)),
            ]
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def read(paths: ClusterPaths) -> ClusterStatus:
    """Read the state of all components, of the optional ones only if they run."""
    identities = {name: supervisor.find_running(paths, name) for name in all_components(paths)}
    pids = {name: identity.pid if identity else None for name, identity in identities.items()}
    optional = {name: supervisor.find_running(paths, name) for name in optional_components(paths)}
    pids |= {name: identity.pid for name, identity in optional.items() if identity is not None}
    api = ApiClient(paths)
    ready = pids["kube-apiserver"] is not None and api.is_ready()
    return ClusterStatus(paths, pids, ready, ready and api.is_node_ready())
