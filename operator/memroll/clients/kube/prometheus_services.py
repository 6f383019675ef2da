"""Services of a cluster that are known to be Prometheus, or to have its query API: found by the labels of their charts.

Called by `memroll scan`. The order is that of preference: a server of one cluster before one of several.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from memroll.clients.kube.api_client import build_path
from memroll.clients.kube.json_access import get_dict, get_dicts, get_int, get_str, get_str_dict
from memroll.clients.kube.pods import CORE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from memroll.clients.kube.api_client import Json, KubeApi

NAME = "app.kubernetes.io/name"
COMPONENT = "app.kubernetes.io/component"


@dataclass(frozen=True, slots=True)
class ServiceKind:
    """Kind of a server, the labels of its Service, and the path below which it has the API of Prometheus."""

    title: str
    labels: Mapping[str, str]
    path: str = ""
    ports: tuple[str, ...] = ("http-web", "web", "http", "http-query", "http-metrics")
    """Names of the port, by preference; the first port if it has none of them."""


KINDS = (
    ServiceKind("Prometheus (kube-prometheus-stack)", {"app": "kube-prometheus-stack-prometheus"}),
    ServiceKind("Prometheus (prometheus-operator)", {"operated-prometheus": "true"}),
    ServiceKind("Prometheus", {NAME: "prometheus", COMPONENT: "server"}),
    ServiceKind("Prometheus", {NAME: "prometheus", COMPONENT: "prometheus"}),
    ServiceKind("Prometheus", {"app": "prometheus", "component": "server"}),
    ServiceKind("Prometheus", {"app": "prometheus"}),
    ServiceKind("Prometheus", {NAME: "prometheus"}),
    ServiceKind("VictoriaMetrics", {NAME: "vmsingle"}),
    ServiceKind("VictoriaMetrics", {NAME: "victoria-metrics-single"}),
    ServiceKind("VictoriaMetrics cluster", {NAME: "vmselect"}, "/select/0/prometheus"),
    ServiceKind("VictoriaMetrics cluster", {"app": "vmselect"}, "/select/0/prometheus"),
    ServiceKind("Mimir", {NAME: "mimir", COMPONENT: "gateway"}, "/prometheus"),
    ServiceKind("Mimir", {NAME: "mimir", COMPONENT: "nginx"}, "/prometheus"),
    ServiceKind("Mimir", {NAME: "mimir", COMPONENT: "query-frontend"}, "/prometheus"),
    ServiceKind("Thanos", {NAME: "thanos", COMPONENT: "query-frontend"}),
    ServiceKind("Thanos", {NAME: "thanos", COMPONENT: "query"}),
    ServiceKind("Thanos", {NAME: "thanos-query"}),
)
"""Known kinds, the preferred ones first."""


@dataclass(frozen=True, slots=True)
class PrometheusService:
    """Service with the query API of Prometheus."""

    kind: ServiceKind
    namespace: str
    name: str
    port: int
    is_https: bool = False

    @property
    def proxy_path(self) -> str:
        """Path of its API through the API server."""
        scheme = "https:" if self.is_https else ""
        path = build_path(CORE, self.namespace, "services", "") + f"/{scheme}{self.name}:{self.port}/proxy"
        return path + self.kind.path

    def __str__(self) -> str:
        return f"{self.kind.title}, Service {self.namespace}/{self.name}"


async def find_services(api: KubeApi) -> tuple[PrometheusService, ...]:
    """Return all Services of known kinds, the preferred ones first. Raises as a request does."""
    found = [s async for raw in api.list_items(build_path(CORE, "", "services")) if (s := decode_service(raw))]
    return tuple(sorted(found, key=lambda s: (KINDS.index(s.kind), s.namespace, s.name)))


def decode_service(raw: Json) -> PrometheusService | None:
    """Return a Service if it is of a known kind and has a port; else None."""
    labels = get_str_dict(raw, "metadata", "labels")
    kind = next((k for k in KINDS if k.labels.items() <= labels.items()), None)
    namespace, name = (get_str(raw, "metadata", field) for field in ("namespace", "name"))
    ports = {get_str(p, "name"): p for p in reversed(get_dicts(raw, "spec", "ports")) if _is_tcp(p)}
    if kind is None or not (namespace and name and ports) or get_dict(raw, "spec").get("type") == "ExternalName":
        return None
    chosen = next((ports[n] for n in kind.ports if n in ports), next(reversed(ports.values())))
    is_https = "https" in (get_str(chosen, "name"), get_str(chosen, "appProtocol").lower())
    return PrometheusService(kind, namespace, name, get_int(chosen, "port"), is_https)


def _is_tcp(port: Json) -> bool:
    return get_str(port, "protocol") in ("", "TCP") and 0 < get_int(port, "port") < 2**16
