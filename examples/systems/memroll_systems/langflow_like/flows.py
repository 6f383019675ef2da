"""Flows as graphs of components, and how one is run: each component when its inputs are there."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING

from memroll_systems.langflow_like import components

if TYPE_CHECKING:
    from memroll_systems.langflow_like.cache import ComponentCache
    from memroll_systems.langflow_like.components import Component

FLOWS: dict[str, dict[str, tuple[str, ...]]] = {
    "assistant": {
        "ChatInput": (),
        "Retriever": ("ChatInput",),
        "Prompt": ("ChatInput", "Retriever"),
        "Model": ("Prompt",),
        "ChatOutput": ("Model",),
    },
    "summary": {
        "ChatInput": (),
        "Retriever": ("ChatInput",),
        "Prompt": ("Retriever",),
        "Model": ("Prompt",),
        "ChatOutput": ("Model",),
    },
}
"""By flow: each component and the ones that it takes its inputs from."""


@dataclass
class Run:
    """One run of a flow: the graph holds its components for as long as the run takes."""

    run_id: str
    session_id: str
    question: str
    graph: dict[str, Component] = field(default_factory=dict)


async def run_flow(flow: dict[str, tuple[str, ...]], run: Run, cache: ComponentCache) -> str:
    """Run all components of a flow in order; return what the last one says."""
    output = ""
    for vertex in TopologicalSorter(flow).static_order():
        component = run.graph[vertex] = _component(vertex, run, cache)
        output = await component.build([_component(source, run, cache).artifact for source in flow[vertex]])
        await asyncio.sleep(0)
    return output


def _component(vertex: str, run: Run, cache: ComponentCache) -> Component:
    """Return a component of this run; every edge that leads to it asks for it again."""
    key = f"{run.session_id}/{run.run_id}/{vertex}"
    return cache.get(key) or cache.put(key, components.make(vertex, run.session_id, run.question))
