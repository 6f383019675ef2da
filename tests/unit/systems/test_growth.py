"""The systems' own code, run in this process: what grows, what does not, and which line tracemalloc names."""

from __future__ import annotations

import asyncio
import gc
import logging
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from memroll_demo.systems import SYSTEMS, leaking_line
from memroll_systems.agent_like import agent
from memroll_systems.agent_like.app import AgentServer
from memroll_systems.agent_like.contexts import RunContext
from memroll_systems.chatchat_like import conversations
from memroll_systems.chatchat_like.app import ChatServer
from memroll_systems.langflow_like.cache import ComponentCache
from memroll_systems.langflow_like.flows import FLOWS, Run, run_flow
from memroll_systems.langflow_like.snapshots import Snapshots
from memroll_systems.tracing_race import app as race
from memroll_systems.tracing_race.tracing import ContextTracing, SharedTracing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from memroll_systems.tracing_race.tracing import Tracing

    Turn = Callable[[int], Awaitable[object]]

KIB = 1024
TURNS = 60
MUCH, LITTLE = 1024 * KIB, 64 * KIB
"""What may grow in so many turns: a leak of 48 KiB each is nearly three times as much as the first."""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing waits, but everything that waits lets others go on."""
    monkeypatch.setattr(agent, "TOOL_S", 0.0)
    monkeypatch.setattr(race, "COMPONENT_S", 0.0)


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


def flows(*, leaks: bool) -> Turn:
    cache = ComponentCache(weak=not leaks)
    return lambda n: run_flow(FLOWS["assistant"], Run(f"run-{n}", "session", f"question {n}"), cache)


def chats(*, leaks: bool) -> Turn:
    server = ChatServer(bounded=not leaks)

    async def turn(number: int) -> None:
        server.store.add("document", f"chapter {number}. ".ljust(48 * KIB, "x"))
        known = server.store.search("question", 12)
        server.conversations.ask(f"session-{number // 50}", f"question {number}", known)

    return turn


def agents(*, leaks: bool, at_once: int = 1) -> Turn:
    server = AgentServer(clear=not leaks)

    async def turn(number: int) -> None:
        contexts = [RunContext(f"run-{number}-{part}", "task") for part in range(at_once)]
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
    """Return how much more is held after some turns, when as many were made before."""
    for number in range(TURNS):
        await turn(number)
    gc.collect()
    before, _ = tracemalloc.get_traced_memory()
    for number in range(TURNS, 2 * TURNS):
        await turn(number)
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    return after - before


def test_every_system_is_tried():
    assert set(TURNING) == set(SYSTEMS)


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("system", TURNING)
async def test_a_system_leaks_with_every_turn(system):
    assert await grown_bytes(TURNING[system](leaks=True)) > MUCH


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("system", TURNING)
async def test_its_twin_stays_where_it_is(system, monkeypatch):
    monkeypatch.setattr(conversations, "SESSIONS_MOST", 1)
    assert await grown_bytes(TURNING[system](leaks=False)) < LITTLE


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("system", SYSTEMS.values(), ids=lambda s: s.name)
async def test_tracemalloc_names_the_marked_line_first(system):
    turn = TURNING[system.name](leaks=True)
    before = tracemalloc.take_snapshot()
    for number in range(TURNS):
        await turn(number)
    gc.collect()
    first, second, *_ = tracemalloc.take_snapshot().compare_to(before, "lineno")
    line = leaking_line(system.members[0].leak)
    assert line.is_at(first.traceback[0].filename.lstrip("/"), first.traceback[0].lineno), (line, first.traceback)
    assert first.size_diff > 2 * second.size_diff, "by far"


@pytest.mark.usefixtures("traced")
async def test_a_burst_leaves_a_high_water_mark_and_the_next_ones_nothing():
    turn = agents(leaks=False, at_once=20)
    before, _ = tracemalloc.get_traced_memory()
    await turn(0)
    gc.collect()
    marked, _ = tracemalloc.get_traced_memory()
    for number in range(1, 6):
        await turn(number)
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    assert marked - before > 20 * 1024 * KIB
    assert after - marked < LITTLE


async def mixed(tracing: Tracing) -> list[str]:
    """Run ten flows at once; return those that got another trace than their own."""
    names = [f"run-{number}" for number in range(10)]
    found = await asyncio.gather(*(asyncio.create_task(race.run(name, tracing)) for name in names))
    own = [[(name, component) for component in race.COMPONENTS] for name in names]
    got = [[(span.run_id, span.component) for span in spans] for spans in found]
    return [name for name, expected, spans in zip(names, own, got, strict=True) if expected != spans]


async def test_shared_state_mixes_runs_and_keeps_what_nobody_ends():
    tracing = SharedTracing()
    assert len(await mixed(tracing)) == 10
    assert len(tracing) == 9


async def test_context_variables_keep_runs_apart_and_nothing_else():
    tracing = ContextTracing()
    assert await mixed(tracing) == []
    assert len(tracing) == 0


async def test_one_run_after_the_other_is_never_mixed():
    """Which is why nobody noticed while they tried it out."""
    tracing = SharedTracing()
    for number in range(3):
        spans = await race.run(f"run-{number}", tracing)
        assert {span.run_id for span in spans} == {f"run-{number}"}
    assert len(tracing) == 0


@pytest.mark.usefixtures("traced")
async def test_the_comparison_of_snapshots_names_the_leak(caplog):
    turn, calls = flows(leaks=True), iter(range(1000))

    async def app(*_: Any) -> None:
        await turn(next(calls))

    compared = Snapshots(app, every=20)
    with caplog.at_level(logging.WARNING):
        for _ in range(39):
            await compared({"type": "http"}, None, None)  # type: ignore[arg-type] # the app above takes anything
        assert caplog.messages == [], "one snapshot tells nothing"
        await compared({"type": "http"}, None, None)  # type: ignore[arg-type] # the same
    line = leaking_line("langflow_like/components.py")
    assert caplog.messages[0].startswith("grown in 20 requests: ")
    assert f"/{line} +" in caplog.messages[0]
