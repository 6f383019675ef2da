"""Choice of the Prometheus of a cluster: the first Service of a known kind that has memory series."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from memroll.clients.kube.prometheus_services import find_services
from memroll.clients.kube.service_relay import relay_to
from memroll.clients.prometheus import promql
from memroll.clients.prometheus.config import Connection
from memroll.errors import MemrollError, TerminalError
from memroll.inspection.prometheus_checks import query_connection

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from memroll.clients.kube.api_client import KubeApi
    from memroll.clients.kube.prometheus_services import PrometheusService

PROBE = f'count({promql.RSS}{{container!=""}})'
"""Query that a suitable server answers with the number of containers."""
PROBE_TIMEOUT_S = 20.0
"""Timeout of the query in seconds; chosen by hand."""
TIMEOUT_S = 60.0
"""Timeout of the other queries in seconds: those of a whole namespace take longer. Chosen by hand."""
MAX_CANDIDATES = 10
"""Maximum number of Services that are tried; chosen by hand."""
REMEDY = "give --prometheus URL (see 'kubectl port-forward') or --connections FILE"


@dataclass(frozen=True, slots=True)
class FoundPrometheus:
    """Server that was found, and the connection that reaches it."""

    title: str
    connection: Connection


@asynccontextmanager
async def find_prometheus(
    api: KubeApi, report: Callable[[str], None] = lambda _: None
) -> AsyncIterator[FoundPrometheus]:
    """Yield the first server that has memory series; raise TerminalError with the reasons if none has.

    `report` is called with a line about each Service that is not suitable.
    """
    services = await find_services(api)
    reasons: list[str] = []
    for service in services[:MAX_CANDIDATES]:
        async with relay_to(api, service.proxy_path) as url:
            reason = await _try(service, url)
            if isinstance(reason, Connection):
                yield FoundPrometheus(str(service), reason)
                return
            reasons.append(f"{service}: {reason}")
            report(reasons[-1])
    if not reasons:
        raise TerminalError("NoPrometheus", f"no Service of this cluster is known to be Prometheus: {REMEDY}")
    raise TerminalError("NoPrometheus", f"no Prometheus with memory series ({'; '.join(reasons)}): {REMEDY}")


async def _try(service: PrometheusService, url: str) -> Connection | str:
    """Return the connection to a server, or why it is not suitable. Some proxies permit GET only."""
    reason = ""
    for method in ("POST", "GET"):
        headers = {"X-Scope-OrgID": "anonymous"} if service.kind.title == "Mimir" else {}
        connection = Connection(url=url, method=method, headers=headers, timeout_seconds=TIMEOUT_S)
        try:
            count = await asyncio.to_thread(_count_containers, connection)
        except MemrollError as error:
            reason = reason or error.message
            continue
        return connection if count else f"it has no {promql.RSS}"
    return reason


def _count_containers(connection: Connection) -> float:
    probed = connection.model_copy(update={"timeout_seconds": PROBE_TIMEOUT_S})
    with query_connection(probed) as query:
        return next((number for _, number in query(PROBE)), 0.0)
