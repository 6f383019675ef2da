"""Sets of the second round: slow leaks, page cache, other memory, CPU, gaps and sick peers, built seed by seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.bench.detect import cpu, fleets, gaps, other_memory, page_cache, sick_peer, slow
from tests.bench.detect.sets import HOUR_S, Case, case_of, rng_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.bench.detect.trace import Trace

SLOW_AHEAD_S = 24 * HOUR_S
"""Time before its OOM kill at which a slow leak must have been reported."""
SIZES = ("small", "moderate", "full")
CACHE = {False: "cache unknown", True: "cache known"}


@dataclass(frozen=True, slots=True)
class LongSet:
    """Set of labelled traces, with the number of seeds of each size."""

    name: str
    build: Callable[[int], Iterator[Case]]
    """Function that yields the cases of one seed."""
    seeds: tuple[int, int, int]
    """Number of seeds of a small set, a moderate one, and one with 300 leaks or 3,000 harmless pod-days a row."""
    every: int = 1
    """One of this many intervals is evaluated."""

    def count(self, size: str) -> int:
        return self.seeds[SIZES.index(size)]


def _replicas(seed: int, number: int) -> Sequence[int]:
    """Return the sizes of the workloads of one kind: a single pod and a fleet."""
    return 1, int(rng_of(seed, 400, number).integers(2, 6))


def _all(traces: Iterator[Trace], set_: str, kind: str, ahead_s: float = HOUR_S) -> Iterator[Case]:
    return (case_of(t, set_, kind, ahead_s) for t in traces)


def _slow(seed: int) -> Iterator[Case]:
    for number, kind in enumerate(slow.LEAKS):
        for replicas in _replicas(seed, number):
            made = slow.leaking(kind, rng_of(seed, 410 + number, replicas), replicas=replicas)
            title = kind if replicas == 1 else f"{kind}, with peers"
            yield from _all(made, "slow", title, SLOW_AHEAD_S)


def _slow_harmless(seed: int) -> Iterator[Case]:
    for number, kind in enumerate(slow.HARMLESS):
        for replicas in _replicas(seed, 50 + number):
            made = slow.harmless(kind, rng_of(seed, 420 + number, replicas), replicas=replicas)
            yield from _all(made, "slow-harmless", kind)


def _page_cache(seed: int) -> Iterator[Case]:
    for number, kind in enumerate((*page_cache.HARMLESS, *page_cache.LEAKS)):
        for known, title in CACHE.items():
            made = page_cache.container(kind, rng_of(seed, 430 + number), cache_known=known)
            yield from _all(made, "page-cache", f"{kind}, {title}")


def _other_memory(seed: int) -> Iterator[Case]:
    for number, kind in enumerate((*other_memory.LEAKS, *other_memory.HARMLESS * 3)):
        for known, title in CACHE.items():
            made = other_memory.container(kind, rng_of(seed, 440 + number), cache_known=known)
            yield from _all(made, "other-memory", f"{kind}, {title}")


def _cpu(seed: int) -> Iterator[Case]:
    for number, shape in enumerate(cpu.LEAKS):
        for with_load, title in ((True, "with its CPU"), (False, "without load")):
            made = cpu.leak(shape, rng_of(seed, 450 + number), with_load=with_load)
            yield from _all(made, "cpu", f"{shape}, {title}")
    for number, kind in enumerate(cpu.HARMLESS):
        for replicas in _replicas(seed, 60 + number):
            made = cpu.harmless(kind, rng_of(seed, 460 + number, replicas), replicas=replicas)
            yield from _all(made, "cpu", kind)


def _gaps(seed: int) -> Iterator[Case]:
    for number, kind in enumerate(fleets.HARMLESS):
        rng = rng_of(seed, 470 + number)
        made = gaps.in_harmless(rng, fleets.harmless(kind, rng, tight=True))
        yield from _all(made, "gaps", f"{kind}, tight")
    for number, kind in enumerate(fleets.LEAKING):
        rng = rng_of(seed, 490 + number)
        yield from _all(gaps.in_leaking(rng, fleets.leaking(kind, rng)), "gaps", f"leak {kind}")


def _sick_peer(seed: int) -> Iterator[Case]:
    for number, kind in enumerate(fleets.HARMLESS):
        yield from _all(sick_peer.fleet(kind, rng_of(seed, 510 + number)), "sick-peer", kind)


LONG_SETS = {
    s.name: s
    for s in (
        LongSet("slow", _slow, (1, 3, 26), every=3),
        LongSet("slow-harmless", _slow_harmless, (1, 1, 8), every=3),
        LongSet("page-cache", _page_cache, (1, 5, 75)),
        LongSet("other-memory", _other_memory, (1, 5, 75)),
        LongSet("cpu", _cpu, (1, 5, 75)),
        LongSet("gaps", _gaps, (1, 1, 12)),
        LongSet("sick-peer", _sick_peer, (1, 1, 24)),
    )
}
