from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from memroll_systems.tracing_race import app as race
from memroll_systems.tracing_race.tracing import ContextTracing, SharedTracing

if TYPE_CHECKING:
    from memroll_systems.tracing_race.tracing import Tracing


async def mixed(tracing: Tracing) -> list[str]:
    """Run ten flows concurrently; return those with another trace than their own."""
    names = [f"run-{number}" for number in range(10)]
    found = await asyncio.gather(*(asyncio.create_task(race.run(name, tracing)) for name in names))
    own = [[(name, component) for component in race.COMPONENTS] for name in names]
    got = [[(span.run_id, span.component) for span in spans] for spans in found]
    return [name for name, expected, spans in zip(names, own, got, strict=True) if expected != spans]


async def test_shared_state_mixes_runs_and_keeps_traces_that_are_never_ended():
    tracing = SharedTracing()
    assert len(await mixed(tracing)) == 10
    assert len(tracing) == 9


async def test_context_variables_isolate_runs_and_keep_no_traces():
    tracing = ContextTracing()
    assert await mixed(tracing) == []
    assert len(tracing) == 0


async def test_sequential_runs_are_never_mixed():
    """This is why manual tests do not reveal the bug."""
    tracing = SharedTracing()
    for number in range(3):
        spans = await race.run(f"run-{number}", tracing)
        assert {span.run_id for span in spans} == {f"run-{number}"}
    assert len(tracing) == 0
