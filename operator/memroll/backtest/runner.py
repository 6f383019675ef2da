"""All traces, spread over processes. What comes out does not depend on how many there are."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from memroll.backtest.baselines.rules import RULES, first_alarm_s
from memroll.backtest.policy import rule_for
from memroll.backtest.replay import Found, replay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from memroll.api.policy import MemoryPolicy
    from memroll.backtest.trace import Trace


Answer = tuple[Found, dict[str, float | None]]
"""What was found, and the first alarm of each simpler rule."""


@dataclass(frozen=True, slots=True)
class Result:
    trace: Trace
    found: Found
    alarms_s: Mapping[str, float | None]
    """The first alarm of each simpler rule, by its name."""


@dataclass(frozen=True, slots=True)
class Work:
    """What every process holds."""

    traces: Sequence[Trace]
    policy: MemoryPolicy
    rules: bool
    """Whether the simpler rules are asked as well."""

    def carry_out(self, number: int) -> Answer:
        trace = self.traces[number]
        rule = rule_for(self.policy, trace.subject.limit_bytes)
        peers = [
            t.subject for n, t in enumerate(self.traces) if n != number and t.workload and t.workload == trace.workload
        ]
        found = replay(trace, rule, peers)
        return found, {r.name: first_alarm_s(r, trace, rule) for r in RULES} if self.rules else {}


_held: list[Work] = []


def _hold(work: Work) -> None:
    _held[:] = [work]


def _carry_out(number: int) -> Answer:
    return _held[0].carry_out(number)


def run(work: Work, jobs: int, progress: Callable[[int], None]) -> tuple[Result, ...]:
    """Return the results in the order of the traces. `progress` is told how many are done."""
    numbers = range(len(work.traces))
    if jobs == 1:
        done = list(_counted(map(work.carry_out, numbers), progress))
    else:
        with ProcessPoolExecutor(jobs, initializer=_hold, initargs=(work,)) as pool:
            done = list(_counted(pool.map(_carry_out, numbers), progress))
    return tuple(Result(trace, *answer) for trace, answer in zip(work.traces, done, strict=True))


def _counted(answers: Iterable[Answer], progress: Callable[[int], None]) -> Iterator[Answer]:
    for n, answer in enumerate(answers, 1):
        yield answer
        progress(n)
