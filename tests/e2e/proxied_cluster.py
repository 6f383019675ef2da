"""Cluster with a cheaper `get`: a kubectl process costs a tenth of a second of CPU, and tests poll often."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Self

from memroll_demo.cluster import DemoCluster
from tests.soak.kubectl_proxy import PREFIXES

if TYPE_CHECKING:
    from tests.soak.kubectl_proxy import KubectlProxy

SHORT_NAMES = {"mempol": "memorypolicies"}


@dataclass(frozen=True)
class ProxiedCluster(DemoCluster):
    """Cluster that reads through a `kubectl proxy` with the same kubeconfig, and uses kubectl for everything else."""

    kube: KubectlProxy | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        """Remove the proxy from a copy with another kubeconfig."""
        if self.kube is not None and self.kube.kubeconfig != self.kubeconfig:
            object.__setattr__(self, "kube", None)

    @classmethod
    def of(cls, cluster: DemoCluster, kube: KubectlProxy) -> Self:
        return cls(**asdict(cluster), kube=kube)

    def get(self, kinds: str, namespace: str, name: str = "") -> Any:
        plurals = [plural_of(kind) for kind in kinds.split(",")]
        if self.kube is None or None in plurals:
            return super().get(kinds, namespace, name)
        if name:
            (plural,) = plurals
            return self.kube.get(plural, namespace, name)
        return [item for plural in plurals for item in self.kube.list(plural, namespace)]


def plural_of(kind: str) -> str | None:
    """Return the plural name of a kind that the proxy serves; None for any other kind."""
    name = SHORT_NAMES.get(kind, kind)
    return name if name in PREFIXES else f"{name}s" if f"{name}s" in PREFIXES else None
