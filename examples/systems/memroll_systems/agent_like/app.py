"""The API of the agent server: one task a request, or a batch of them at once.

CONTEXTS=kept|cleared  whether a run that has ended stays subscribed to the bus; kept leaks
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
from memroll_systems.gauges import exposition

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request


class AgentServer:
    """Runs agents."""

    def __init__(self, *, clear: bool) -> None:
        self.bus, self.workspaces, self.clear = Bus(), Workspaces(), clear
        self.runs = 0

    async def run(self, request: Request) -> Response:
        """Carry out all tasks of a request at the same time, each in a task of its own and so in its own context."""
        asked = await request.json()
        contexts = [RunContext(uuid.uuid4().hex, str(task)) for task in asked["tasks"]]
        runs = [agent.run(context, self.bus, self.workspaces, clear=self.clear) for context in contexts]
        answers = await asyncio.gather(*(asyncio.create_task(one) for one in runs))
        self.runs += len(answers)
        return JSONResponse({"answers": answers})

    async def health(self, _: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def metrics(self, _: Request) -> Response:
        return exposition(agent_runs=self.runs, agent_subscribers=len(self.bus), agent_workspaces=self.workspaces.made)


def create(environment: Mapping[str, str]) -> Starlette:
    server = AgentServer(clear=environment.get("CONTEXTS", "kept") == "cleared")
    return Starlette(
        routes=[
            Route("/runs", server.run, methods=["POST"]),
            Route("/healthz", server.health),
            Route("/metrics", server.metrics),
        ]
    )
