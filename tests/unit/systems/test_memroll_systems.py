"""The systems' code, run in this process: growth of each system and its twin, and the line that tracemalloc names."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from memroll_demo.systems import SYSTEMS, leaking_line
from memroll_systems.agent_like import agent
from memroll_systems.agent_like.app import AgentServer
from memroll_systems.agent_like.contexts import RunContext
from memroll_systems.chatchat_like import conversations
from memroll_systems.chatchat_like.app import ChatServer
from memroll_systems.langflow_like.cache import ComponentCache
from memroll_systems.langflow_like.flows import FLOWS, Run, run_flow
from memroll_systems.tracing_race import app as race
from memroll_systems.tracing_race.tracing import ContextTracing, SharedTracing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from memroll_systems.tracing_race.tracing import Tracing

    Turn = Callable[[int], Awaitable[object]]

KIB = 1024
TURNS = 60
MIN_LEAK_BYTES, MAX_TWIN_BYTES = 1024 * KIB, 64 * KIB
"""Minimum growth of a leak, maximum growth of a twin, in that many turns: a leak has nearly three times the minimum."""


def flows(*, leaks: bool) -> Turn:
    cache = ComponentCache(weak=not leaks)
    return lambda n: run_flow(FLOWS["assistant"], Run(f"run-{n}", "session", f"question {n}"), cache)


def chats(*, leaks: bool) -> Turn:
    server = ChatServer(bounded=not leaks)

    async def turn(number: int) -> None:
        server.store.add("document", f"chapter {number}. ".ljust(48 * KIB, "x"))
        known = server.store.search("question", 12)
        server.conversations.add_turn(f"session-{number // 50}", f"question {number}", known)

    return turn


def agents(*, leaks: bool, concurrent: int = 1) -> Turn:
    server = AgentServer(clear=not leaks)

    async def turn(number: int) -> None:
        contexts = [RunContext(f"run-{number}-{part}", "task") for part in range(concurrent)]
        runs = [agent.run(c, server.bus, server.workspaces, clear=server.clear) for c in contexts]
        await asyncio.gather(*map(asyncio.create_task, runs))

    return turn


def traces(*, leaks: bool) -> Turn:
    tracing: Tracing = SharedTracing() if leaks else ContextTracing()

    async def turn(number: int) -> None:
        await asyncio.gather(*(asyncio.create_task(race.run(f"run-{number}-{part}", tracing)) for part in range(2)))

    return turn


TURNING: dict[str, Callable[..., Turn]] = {
    "langflow-like": flows,
    "chatchat-like": chats,
    "agent-like": agents,
    "tracing-race": traces,
}


async def grown_bytes(turn: Turn) -> int:
    """Return the growth in bytes over some turns, after as many turns of warm-up."""
    for number in range(TURNS):
        await turn(number)
    gc.collect()
    before, _ = tracemalloc.get_traced_memory()
    for number in range(TURNS, 2 * TURNS):
        await turn(number)
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    return after - before


def test_every_system_is_tested():
    assert set(TURNING) == set(SYSTEMS)


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("system", TURNING)
async def test_a_system_leaks_with_every_turn(system):
    assert await grown_bytes(TURNING[system](leaks=True)) > MIN_LEAK_BYTES


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("system", TURNING)
async def test_its_twin_does_not_grow(system, monkeypatch):
    monkeypatch.setattr(conversations, "MAX_SESSIONS", 1)
    assert await grown_bytes(TURNING[system](leaks=False)) < MAX_TWIN_BYTES


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("system", SYSTEMS.values(), ids=lambda s: s.name)
async def test_tracemalloc_names_the_marked_line_first(system):
    turn = TURNING[system.name](leaks=True)
    before = tracemalloc.take_snapshot()
    for number in range(TURNS):
        await turn(number)
    gc.collect()
    first, second, *_ = tracemalloc.take_snapshot().compare_to(before, "lineno")
    line = leaking_line(system.deployments[0].leak)
    assert line.is_at(first.traceback[0].filename.lstrip("/"), first.traceback[0].lineno), (line, first.traceback)
    assert first.size_diff > 2 * second.size_diff


@pytest.mark.usefixtures("traced")
async def test_a_burst_leaves_a_high_water_mark_and_further_bursts_add_nothing():
    turn = agents(leaks=False, concurrent=20)
    before, _ = tracemalloc.get_traced_memory()
    await turn(0)
    gc.collect()
    marked, _ = tracemalloc.get_traced_memory()
    for number in range(1, 6):
        await turn(number)
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    assert marked - before > 20 * 1024 * KIB
    assert after - marked < MAX_TWIN_BYTES
