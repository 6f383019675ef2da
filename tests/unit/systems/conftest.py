from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

import pytest

from memroll_systems.agent_like import agent
from memroll_systems.tracing_race import app as race

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten all waits to zero; they still let other tasks run."""
    monkeypatch.setattr(agent, "TOOL_S", 0.0)
    monkeypatch.setattr(race, "COMPONENT_S", 0.0)


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()
