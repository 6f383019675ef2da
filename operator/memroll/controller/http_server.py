"""`/metrics`, `/healthz` and `/readyz`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

if TYPE_CHECKING:
    from collections.abc import Callable

    from prometheus_client import CollectorRegistry


def application(registry: CollectorRegistry, healthy: Callable[[], str], ready: Callable[[], str]) -> web.Application:
    """Return the application. `healthy` and `ready` return why not, or nothing."""

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    def probe(trouble: Callable[[], str]) -> Callable[[web.Request], object]:
        async def answer(_: web.Request) -> web.Response:
            why_not = trouble()
            return web.Response(text=(why_not or "ok") + "\n", status=503 if why_not else 200)

        return answer

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    app.router.add_get("/healthz", probe(healthy))  # type: ignore[arg-type] # aiohttp's handler type is wider
    app.router.add_get("/readyz", probe(ready))  # type: ignore[arg-type] # aiohttp's handler type is wider
    return app


async def serve(app: web.Application, host: str, port: int) -> web.AppRunner:
    """Start serving and return what stops it (`cleanup`). An empty host means all addresses."""
    runner = web.AppRunner(app, access_log=None, handle_signals=False)
    await runner.setup()
    await web.TCPSite(runner, host or None, port).start()
    return runner
