"""The API of the traced flow server. A run answers with its trace: whose spans it found there.

TRACING=shared|context  one state for all runs, or one for each; shared mixes runs, and leaks
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from memroll_systems.gauges import exposition
from memroll_systems.tracing_race.tracing import ContextTracing, SharedTracing, span_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from memroll_systems.tracing_race.tracing import Span, Tracing

COMPONENTS = ("ChatInput", "Retriever", "Model", "ChatOutput")
COMPONENT_S = 0.05


async def run(run_id: str, tracing: Tracing) -> list[Span]:
    """Run a flow, and return its trace. While a component waits, other runs go on."""
    tracing.start(run_id)
    for component in COMPONENTS:
        tracing.record(span_of(run_id, component))
        await asyncio.sleep(COMPONENT_S)
    return tracing.end()


class TracedServer:
    """Runs flows, each under the eyes of the tracing service."""

    def __init__(self, tracing: Tracing) -> None:
        self.tracing = tracing
        self.runs = 0

    async def run(self, request: Request) -> Response:
        asked = await request.json()
        spans = await run(str(asked["run_id"]), self.tracing)
        self.runs += 1
        told = [{"run_id": span.run_id, "component": span.component} for span in spans]
        return JSONResponse({"run_id": asked["run_id"], "spans": told})

    async def health(self, _: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def metrics(self, _: Request) -> Response:
        return exposition(traced_runs=self.runs, traces_open=len(self.tracing))


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
