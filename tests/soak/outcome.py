"""What became of a case, and how it is played."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.soak.stage import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.soak.stage import Stage


@dataclass(frozen=True)
class Case:
    """`play` works on an open stage and raises AssertionError for what must not be."""

    name: str
    play: Callable[[Stage, int], None]
    rolls: int = 1
    """How many rolls by default, where a case repeats them."""
    lossless: bool = True
    """Whether no request may be lost; it may where the user takes the pods away."""
    alone: bool = False
    """It changes the node, which all cases share."""


@dataclass(frozen=True)
class Outcome:
    """One line of the table."""

    case: str
    seconds: float
    rolls: int = 0
    requests: int = 0
    failures: tuple[str, ...] = ()
    starved: int = 0
    oom_kills: int = 0
    strays: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    faults: list[str] = field(default_factory=list)

    @property
    def result(self) -> str:
        if self.faults and self.failures and self.starved == len(self.failures):
            return "STARVED"
        return "FAILED" if self.faults else "ok"


def play(case: Case, stage: Stage, rolls: int | None = None) -> Outcome:
    """Play one case on an open stage, and look at what is left afterwards."""
    began, faults = time.monotonic(), []
    try:
        case.play(stage, rolls or case.rolls)
    except (AssertionError, OSError) as error:
        faults.append(f"{type(error).__name__}: {error}")
    faults += _trouble("every roll ends", stage.unended)
    faults += _trouble("no stray pod", stage.strays)
    stage.unload()
    failures = tuple(f for load in stage.loads for f in load.failures)
    oom_kills, strays = stage.oom_kills(), tuple(stage.strays())
    faults += [f"{oom_kills} OOM kills"] if oom_kills else []
    faults += [f"{len(failures)} requests failed: {'; '.join(failures[:3])}"] if failures and case.lossless else []
    return Outcome(
        case.name,
        time.monotonic() - began,
        stage.rolls,
        sum(load.served for load in stage.loads) + len(failures),
        failures,
        sum(len(load.starved) for load in stage.loads),
        oom_kills,
        strays,
        tuple(stage.reasons),
        faults,
    )


def _trouble(what: str, left: Callable[[], list[str]]) -> list[str]:
    """Return what is still there after a minute, in words."""
    try:
        until(what, lambda: not left(), timeout_s=60)
    except AssertionError:
        return [f"{what}: {', '.join(left())}"]
    return []
