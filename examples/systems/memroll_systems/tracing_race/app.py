"""API of the traced flow server. A run returns its trace, with the run of each span.

TRACING=shared|context  one state for all runs, or one per run; shared mixes runs, and leaks
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from memroll_systems.gauges import metrics_response
from memroll_systems.tracing_race.tracing import ContextTracing, SharedTracing, make_span

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from memroll_systems.tracing_race.tracing import Span, Tracing

COMPONENTS = ("ChatInput", "Retriever", "Model", "ChatOutput")
COMPONENT_S = 0.05


async def run(run_id: str, tracing: Tracing) -> list[Span]:
    """Run a flow, and return its trace. While a component waits, other runs continue."""
    tracing.start(run_id)
    for component in COMPONENTS:
        tracing.record(make_span(run_id, component))
        await asyncio.sleep(COMPONENT_S)
    return tracing.end()


class TracedServer:
    """Handlers of the flow server's requests; every run is traced."""

    def __init__(self, tracing: Tracing) -> None:
        self.tracing = tracing
        self.runs = 0

    async def run(self, request: Request) -> Response:
        body = await request.json()
        spans = await run(str(body["run_id"]), self.tracing)
        self.runs += 1
        trace = [{"run_id": span.run_id, "component": span.component} for span in spans]
        return JSONResponse({"run_id": body["run_id"], "spans": trace})

    async def health(self, _: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def metrics(self, _: Request) -> Response:
        return metrics_response(traced_runs=self.runs, traces_open=len(self.tracing))


def create(environment: Mapping[str, str]) -> Starlette:
    shared = environment.get("TRACING", "shared") == "shared"
    server = TracedServer(SharedTracing() if shared else ContextTracing())
    return Starlette(
        routes=[
            Route("/api/v1/run", server.run, methods=["POST"]),
            Route("/healthz", server.health),
            Route("/metrics", server.metrics),
        ]
    )
