"""Agent that runs its tools concurrently, and answers."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING

from memroll_systems.agent_like.contexts import RunContext, current

if TYPE_CHECKING:
    from memroll_systems.agent_like.contexts import Bus
    from memroll_systems.agent_like.workspaces import Workspaces

TOOLS = ("search", "browse", "calculate")
TOOL_S = 0.05
PAGE_CHARS = 16 * 1024
PAGE = "# {tool} for run {run}\n{text}\n"


async def run(context: RunContext, bus: Bus, workspaces: Workspaces, *, clear: bool) -> str:
    """Run one task. `clear`: unsubscribe from the bus at the end, also after an error."""
    current.set(context)
    bus.subscribe(context.run_id, context.on_event)
    try:
        with workspaces.borrow() as workspace:
            await asyncio.gather(*(run_tool(tool, bus, workspace) for tool in TOOLS))
        read = sum(map(len, context.observations))
        return f"{context.task!r}: {context.progress} tools have found {read} characters"
    finally:
        if clear:
            bus.unsubscribe(context.run_id)


async def run_tool(tool: str, bus: Bus, workspace: bytearray) -> None:
    """Run one tool, and add its result to the context of the run."""
    context = current.get()
    await asyncio.sleep(TOOL_S)
    found = hashlib.sha256(f"{tool} {context.task}".encode()).hexdigest()
    workspace[: len(found)] = found.encode()
    text = found.ljust(PAGE_CHARS, found[0])
    context.observations.append(PAGE.format(tool=tool, run=context.run_id, text=text))  # the leak
    bus.publish(context.run_id)
