"""Flows as graphs of components. A run builds the components in topological order."""

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
"""Graph of each flow: the components, and for each the components that are its inputs."""


@dataclass
class Run:
    """Run of a flow. The graph refers to its components for the duration of the run."""

    run_id: str
    session_id: str
    question: str
    graph: dict[str, Component] = field(default_factory=dict)


async def run_flow(flow: dict[str, tuple[str, ...]], run: Run, cache: ComponentCache) -> str:
    """Build all components of a flow in order; return the artifact of the last one."""
    output = ""
    for vertex in TopologicalSorter(flow).static_order():
        component = run.graph[vertex] = _component(vertex, run, cache)
        output = await component.build([_component(source, run, cache).artifact for source in flow[vertex]])
        await asyncio.sleep(0)
    return output


def _component(vertex: str, run: Run, cache: ComponentCache) -> Component:
    """Return a component of this run. Called once for the component itself and once per edge that leads to it."""
    key = f"{run.session_id}/{run.run_id}/{vertex}"
    return cache.get(key) or cache.put(key, components.make_component(vertex, run.session_id, run.question))
