"""HTTP server of the operator: `/metrics`, `/healthz`, `/readyz` and `/leader`.

A standby is Ready: a rolling update waits until the new pod is Ready, and only then ends the old one, which leads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

if TYPE_CHECKING:
    from collections.abc import Callable

    from prometheus_client import CollectorRegistry

    from memroll.clients.kube.lease_holder import Leadership


def build_app(
    registry: CollectorRegistry,
    why_unhealthy: Callable[[], str],
    why_not_ready: Callable[[], str],
    who_leads: Callable[[], Leadership],
) -> web.Application:
    """Return the application. Two callables return the reason for a status of 503, or an empty string."""

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    def probe(why_not: Callable[[], str]) -> Callable[[web.Request], object]:
        async def respond(_: web.Request) -> web.Response:
            reason = why_not()
            return web.Response(text=(reason or "ok") + "\n", status=503 if reason else 200)

        return respond

    async def leader(_: web.Request) -> web.Response:
        found = who_leads()
        return web.Response(text=found.message + "\n", status=200 if found.someone_leads else 503)

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    app.router.add_get("/leader", leader)
    app.router.add_get("/healthz", probe(why_unhealthy))  # type: ignore[arg-type] # aiohttp's handler type is wider
    app.router.add_get("/readyz", probe(why_not_ready))  # type: ignore[arg-type] # aiohttp's handler type is wider
    return app


async def serve(app: web.Application, host: str, port: int) -> web.AppRunner:
    """Start serving; return the runner, whose `cleanup` stops it. An empty host binds to all addresses."""
    runner = web.AppRunner(app, access_log=None, handle_signals=False)
    await runner.setup()
    await web.TCPSite(runner, host or None, port).start()
    return runner
