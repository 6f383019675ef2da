"""Soak cases: the function that runs one, and its result as a line of the table."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.soak.roll_scenario import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.soak.roll_scenario import RollScenario


@dataclass(frozen=True)
class SoakCase:
    """Case of the soak test. `run` raises AssertionError if a promise is broken."""

    name: str
    run: Callable[[RollScenario, int], None]
    rolls: int = 1
    """Default number of rolls of a case that repeats them."""
    lossless: bool = True
    """True if no request may fail; False where all pods are removed, or the only one can't exist twice."""
    oom_kills: bool = False
    """True if containers may be OOM-killed: the case is about what happens then."""
    alone: bool = False
    """True for a case that changes the node, which all cases share."""
    watched: bool = True
    """False for a case that installs an operator of its own."""
    rollouts: bool = False
    """True for a case that needs the controller of Argo Rollouts."""
    further_namespaces: tuple[str, ...] = ()
    """Suffixes of additional namespaces; see `RollScenario.beside`."""


@dataclass(frozen=True)
class CaseResult:
    """Result of a case: a line of the table."""

    case: str
    seconds: float
    rolls: int = 0
    requests: int = 0
    failures: tuple[str, ...] = ()
    starved: int = 0
    oom_kills: int = 0
    orphaned_pods: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    errors: list[str] = field(default_factory=list)

    @property
    def summary(self) -> str:
        if self.errors and self.failures and self.starved == len(self.failures):
            return "STARVED"
        return "FAILED" if self.errors else "ok"


def run_case(case: SoakCase, scenario: RollScenario, rolls: int | None = None) -> CaseResult:
    """Run a case in a scenario with its namespace, and check the state afterwards."""
    started, errors = time.monotonic(), []
    try:
        case.run(scenario, rolls or case.rolls)
    except (AssertionError, OSError) as error:
        errors.append(f"{type(error).__name__}: {error}")
    errors += _check_empty("every roll ends", scenario.find_active_rolls)
    errors += _check_empty("no orphaned pod", scenario.find_orphaned_pods)
    scenario.stop_load()
    failures = tuple(f for load in scenario.loads for f in load.failures)
    oom_kills, orphaned_pods = scenario.count_oom_kills(), tuple(scenario.find_orphaned_pods())
    errors += [f"{oom_kills} OOM kills"] if oom_kills and not case.oom_kills else []
    errors += [f"{len(failures)} requests failed: {'; '.join(failures[:3])}"] if failures and case.lossless else []
    return CaseResult(
        case.name,
        time.monotonic() - started,
        scenario.ended_rolls,
        sum(load.served for load in scenario.loads) + len(failures),
        failures,
        sum(len(load.starved) for load in scenario.loads),
        oom_kills,
        orphaned_pods,
        tuple(scenario.reasons),
        errors,
    )


def _check_empty(condition: str, find: Callable[[], list[str]]) -> list[str]:
    """Return an error with all that `find` still returns after a minute; empty if it returns nothing."""
    try:
        wait_until(condition, lambda: not find(), timeout_s=60)
    except AssertionError:
        return [f"{condition}: {', '.join(find())}"]
    return []
