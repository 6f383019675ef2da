"""Tight harmless fleets of `fleets` with one more pod that leaks until it is OOM-killed: the others must not be."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tests.bench.detect import fleets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.random import Generator

    from tests.bench.detect.trace import Trace

HOUR_S = 3600.0
MIN_KILL_H, MAX_KILL_H = 4.0, 72.0
"""Time of the OOM kill, in hours: the others run for a day after it."""


def fleet(kind: str, rng: Generator) -> Iterator[Trace]:
    """Yield the pods of a harmless fleet, then the one that leaks."""
    others = fleets.harmless(kind, rng, tight=True)
    yield from others
    while True:
        sick, *_ = fleets.leaking("alone", rng)
        if sick.oom_s is not None and MIN_KILL_H * HOUR_S < sick.oom_s < MAX_KILL_H * HOUR_S:
            yield replace(sick, workload=others[0].workload)
            return
