"""Sets of labelled traces: single containers, for reports, and fleets, for rolls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from memroll.backtest import trace as backtest
from memroll.detection.container_history import ContainerHistory
from memroll.detection.series import EMPTY, Series
from tests.bench.detect import fleets, singles

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from tests.bench.detect.trace import Trace

HOUR_S = 3600.0
DESIGN, TEST = 0, 100_000
"""First seeds of the set that the detector was designed on, and of the set that it is measured on."""
YOUNG_ONSET_H = 0.5
"""Age at which the leak of a young container begins, in hours."""
SINGLES = (*singles.CORE_LEAKS, *singles.CORE_HARMLESS, *singles.LOOKALIKES, *singles.HARD_LEAKS)


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """Trace with its labels."""

    trace: backtest.Trace
    set: str
    kind: str
    leaks: bool
    ahead_s: float = HOUR_S
    """Time before its OOM kill at which a leak must have been reported."""
    unreclaimable: Series = EMPTY
    """Memory that the kernel can't reclaim: the truth. Empty: the RSS."""

    @property
    def lifetime_s(self) -> float:
        return (self.trace.oom_s or self.trace.end_s) - self.trace.start_s

    @property
    def is_oom_bound(self) -> bool:
        """True if a leak brings the container to its limit."""
        return self.leaks and self.trace.oom_s is not None


def case_of(made: Trace, set_: str, kind: str, ahead_s: float = HOUR_S) -> Case:
    """Return the case of a built trace."""

    def series(values: NDArray[np.float64]) -> Series:
        return Series(made.t_s, values) if values.size else EMPTY

    start_s = float(made.t_s[0]) if made.start_s is None else made.start_s
    history = ContainerHistory(
        series(made.rss),
        series(made.working_set),
        start_s,
        made.limit_bytes,
        series(made.load),
        active_file=series(made.active_file),
    )
    label = "leak" if made.leaks else "no-leak"
    trace = backtest.Trace(made.name, history, made.workload, label, made.onset_s, made.oom_s)
    return Case(trace, set_, kind, made.leaks, ahead_s, series(made.unreclaimable))


def rng_of(*seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def fleets_of(seed: int, count: int) -> Iterator[Case]:
    """Yield harmless fleets, roomy and tight, and leaking ones; `count` of each kind."""
    for s in range(seed, seed + count):
        for number, kind in enumerate(fleets.HARMLESS):
            for tight in (False, True):
                for made in fleets.harmless(kind, rng_of(s, number, int(tight)), tight=tight):
                    yield case_of(made, "tight" if tight else "roomy", kind)
        for number, kind in enumerate(fleets.LEAKING):
            for made in fleets.leaking(kind, rng_of(s, 100 + number)):
                yield case_of(made, "leaking", kind)


def singles_of(seed: int, count: int) -> Iterator[Case]:
    """Yield single containers whose leak begins at hour 30, and young ones that leak from the start."""
    for s in range(seed, seed + count):
        for number, kind in enumerate(SINGLES):
            yield case_of(singles.single(kind, rng_of(s, 200 + number)), "single", kind)
        for number, kind in enumerate(singles.CORE_LEAKS):
            yield case_of(singles.single(kind, rng_of(s, 300 + number), YOUNG_ONSET_H), "young", kind)
