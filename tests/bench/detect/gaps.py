"""Fleets of `fleets` with one gap of 30 to 120 minutes: before the peak of harmless ones, at the end of leaks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.random import Generator
    from numpy.typing import NDArray

    from tests.bench.detect.trace import Trace

MIN_GAP_S, MAX_GAP_S = 1800.0, 7200.0
MAX_BEFORE_PEAK_S = 600.0
"""Maximum time between the end of a gap and the peak."""
MAX_BEFORE_OOM_S = 3 * 3600.0
"""Maximum time between the end of a gap and the OOM kill."""
MIN_LIFETIME_S = 4 * 3600.0
"""Minimum lifetime of a leaking pod that gets a gap."""
SHARE_AT_PEAK = 0.7
"""Share of harmless fleets whose gap is right before the peak."""


def in_harmless(rng: Generator, fleet: Sequence[Trace]) -> Iterator[Trace]:
    """Yield the pods of a fleet with one gap in all of them: Prometheus was down."""
    highest = max(fleet, key=lambda t: float(t.working_set.max()))
    length_s = float(rng.uniform(MIN_GAP_S, MAX_GAP_S))
    if rng.random() < SHARE_AT_PEAK:
        peak_s = float(highest.t_s[int(highest.working_set.argmax())])
        end_s = peak_s - float(rng.uniform(0, MAX_BEFORE_PEAK_S))
    else:
        end_s = float(rng.uniform(highest.t_s[0] + length_s, highest.t_s[-1]))
    yield from (without(t, end_s - length_s, end_s) for t in fleet)


def in_leaking(rng: Generator, fleet: Sequence[Trace]) -> Iterator[Trace]:
    """Yield the pods of a fleet; each that is OOM-killed has a gap in its last hours."""
    for trace in fleet:
        if trace.oom_s is None or trace.oom_s - trace.t_s[0] < MIN_LIFETIME_S:
            yield trace
            continue
        end_s = trace.oom_s - float(rng.uniform(0, MAX_BEFORE_OOM_S))
        yield without(trace, end_s - float(rng.uniform(MIN_GAP_S, MAX_GAP_S)), end_s)


def without(trace: Trace, start_s: float, end_s: float) -> Trace:
    """Return the trace without the samples after `start_s`, up to `end_s`; at least its first sample remains."""
    kept = (trace.t_s <= start_s) | (trace.t_s > end_s)
    kept[0] = True
    start = trace.start_s if trace.start_s is not None else float(trace.t_s[0])

    def cut(curve: NDArray[np.float64]) -> NDArray[np.float64]:
        return curve[kept] if curve.size else curve

    return replace(
        trace,
        t_s=trace.t_s[kept],
        rss=cut(trace.rss),
        working_set=cut(trace.working_set),
        load=cut(trace.load),
        active_file=cut(trace.active_file),
        unreclaimable=cut(trace.unreclaimable),
        start_s=start,
    )
