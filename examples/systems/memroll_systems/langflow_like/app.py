"""API of the flow server.

CACHE=strong|weak  how the component cache refers to its components; strong leaks
SNAPSHOTS=500      compare tracemalloc snapshots after this many requests, and log the lines that grew
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from memroll_systems.gauges import metrics_response
from memroll_systems.langflow_like.cache import ComponentCache
from memroll_systems.langflow_like.flows import FLOWS, Run, run_flow
from memroll_systems.langflow_like.snapshots import SnapshotComparison

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request


class FlowServer:
    """Handlers of the flow server's requests."""

    def __init__(self, cache: ComponentCache) -> None:
        self.cache = cache
        self.runs = 0

    async def run(self, request: Request) -> Response:
        flow = FLOWS.get(request.path_params["flow"])
        if flow is None:
            return JSONResponse({"detail": f"no such flow; there are {', '.join(FLOWS)}"}, status_code=404)
        body = await request.json()
        run = Run(uuid.uuid4().hex, str(body["session_id"]), str(body["input_value"]))
        message = await run_flow(flow, run, self.cache)
        self.runs += 1
        return JSONResponse({"session_id": run.session_id, "outputs": [{"message": message}]})

    async def health(self, _: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def metrics(self, _: Request) -> Response:
        return metrics_response(flow_runs=self.runs, flow_cached_components=len(self.cache))


def create(environment: Mapping[str, str]) -> Starlette:
    server = FlowServer(ComponentCache(weak=environment.get("CACHE", "strong") == "weak"))
    every = int(environment.get("SNAPSHOTS", "0"))
    return Starlette(
        routes=[
            Route("/api/v1/run/{flow}", server.run, methods=["POST"]),
            Route("/healthz", server.health),
            Route("/metrics", server.metrics),
        ],
        middleware=[Middleware(SnapshotComparison, every=every)] if every else [],
    )
