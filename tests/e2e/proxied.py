"""The cluster with a cheaper `get`: a kubectl for each look costs a tenth of a second of CPU, and tests look often."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Self

from memroll_demo.site import Site
from tests.soak.kube import PREFIXES

if TYPE_CHECKING:
    from tests.soak.kube import Kube

SHORT = {"mempol": "memorypolicies"}


@dataclass(frozen=True)
class ProxiedSite(Site):
    """Reads through a `kubectl proxy` with the same kubeconfig; whatever is no plain read goes through kubectl."""

    kube: Kube | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        """Let go of the proxy where a copy acts for somebody else."""
        if self.kube is not None and self.kube.kubeconfig != self.kubeconfig:
            object.__setattr__(self, "kube", None)

    @classmethod
    def of(cls, site: Site, kube: Kube) -> Self:
        return cls(**asdict(site), kube=kube)

    def get(self, kinds: str, namespace: str, name: str = "") -> Any:
        plurals = [plural_of(kind) for kind in kinds.split(",")]
        if self.kube is None or None in plurals:
            return super().get(kinds, namespace, name)
        if name:
            (plural,) = plurals
            return self.kube.get(plural, namespace, name)
        return [item for plural in plurals for item in self.kube.list(plural, namespace)]


def plural_of(kind: str) -> str | None:
    """Return the plural by which the proxy serves a kind; None for one that it is not told of."""
    known = SHORT.get(kind, kind)
    return known if known in PREFIXES else f"{known}s" if f"{known}s" in PREFIXES else None
