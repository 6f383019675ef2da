"""What is running, for people and for programs."""

from dataclasses import dataclass

from localcluster import process
from localcluster.api import Api
from localcluster.components import all_components
from localcluster.layout import BASE_IMAGE, NODE, Layout

PROGRAMS = ("kubectl", "helm", "promtool")


@dataclass(frozen=True)
class Status:
    layout: Layout
    pids: dict[str, int | None]
    api_ready: bool
    node_ready: bool

    @property
    def up(self) -> bool:
        return self.api_ready and self.node_ready and None not in self.pids.values()

    def as_json(self) -> dict[str, object]:
        layout = self.layout
        return {
            "up": self.up,
            "node": NODE,
            "kubeconfig": str(layout.kubeconfig),
            "bin_dir": str(layout.bin),
            "prometheus_url": layout.prometheus_url,
            "bridge_address": str(layout.network.address),
            "api_server": layout.api_server,
            "base_image": BASE_IMAGE,
            "logs_dir": str(layout.logs),
            "components": {name: {"pid": pid, "running": pid is not None} for name, pid in self.pids.items()},
        }

    def as_text(self) -> str:
        rows = [("cluster", "up" if self.up else "down"), ("node", "Ready" if self.node_ready else "not Ready")]
        rows += [(name, f"running, pid {pid}" if pid else "not running") for name, pid in self.pids.items()]
        if self.up:
            rows += [
                ("kubeconfig", str(self.layout.kubeconfig)),
                ("prometheus", self.layout.prometheus_url),
                ("logs", str(self.layout.logs)),
            ]
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def read(layout: Layout) -> Status:
    identities = {name: process.running(layout, name) for name in all_components(layout)}
    pids = {name: identity.pid if identity else None for name, identity in identities.items()}
    api = Api(layout)
    ready = pids["kube-apiserver"] is not None and api.ready()
    return Status(layout, pids, ready, ready and api.node_ready())
