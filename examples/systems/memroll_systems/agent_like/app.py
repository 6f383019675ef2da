"""API of the agent server: one task per request, or a batch of tasks.

CONTEXTS=kept|cleared  whether a finished run stays subscribed to the bus; kept leaks
"""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from memroll_systems.agent_like import agent
from memroll_systems.agent_like.contexts import Bus, RunContext
from memroll_systems.agent_like.workspaces import Workspaces
from memroll_systems.gauges import metrics_response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request


class AgentServer:
    """Handlers of the agent server's requests."""

    def __init__(self, *, clear: bool) -> None:
        self.bus, self.workspaces, self.clear = Bus(), Workspaces(), clear
        self.runs = 0

    async def run(self, request: Request) -> Response:
        """Run all tasks of a request concurrently, each in a separate asyncio task and thus in its own context."""
        body = await request.json()
        contexts = [RunContext(uuid.uuid4().hex, str(task)) for task in body["tasks"]]
        runs = [agent.run(context, self.bus, self.workspaces, clear=self.clear) for context in contexts]
        answers = await asyncio.gather(*(asyncio.create_task(one) for one in runs))
        self.runs += len(answers)
        return JSONResponse({"answers": answers})

    async def health(self, _: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def metrics(self, _: Request) -> Response:
        return metrics_response(
            agent_runs=self.runs, agent_subscribers=len(self.bus), agent_workspaces=self.workspaces.created
        )


def create(environment: Mapping[str, str]) -> Starlette:
    server = AgentServer(clear=environment.get("CONTEXTS", "kept") == "cleared")
    return Starlette(
        routes=[
            Route("/runs", server.run, methods=["POST"]),
            Route("/healthz", server.health),
            Route("/metrics", server.metrics),
        ]
    )
