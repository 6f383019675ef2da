"""Memory outside of the RSS that grows to the limit: tmpfs and slab. Next to it, page cache that fills in the same way.

tmpfs and slab end in an OOM kill, while page cache stops below the limit: without the series of the active page cache
both look alike until then.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from tests.bench.detect import curves, growth
from tests.bench.detect.pod_memory import PodMemory, draw_service, grid, pinned, pod_noise, samples_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.random import Generator

    from tests.bench.detect.trace import Trace

DAY_MIN = 1440.0
HARMLESS_DAYS = 7.0
LEAKS = ("tmpfs", "slab")
HARMLESS = ("cache-fill",)
SHAPES = {"tmpfs": ("straight", "stairs", "irregular"), "slab": ("straight", "irregular")}
DURATIONS_H = (6.0, 120.0)
"""Time from the onset to the limit."""


def container(kind: str, rng: Generator, *, cache_known: bool) -> Iterator[Trace]:
    """Yield one container with flat RSS whose other memory, or page cache, grows up to the limit."""
    service = draw_service(rng, kind, has_peers=False)
    leaks = kind in LEAKS
    base, small = float(rng.uniform(0.15, 0.5)), float(rng.uniform(0.005, 0.03))
    onset_min = 0.0 if rng.random() < 0.3 else float(rng.uniform(3, 48)) * 60
    duration_min = float(np.exp(rng.uniform(*np.log(DURATIONS_H)))) * 60
    room = 1 - base - small
    minutes = grid((onset_min + 1.5 * duration_min) / DAY_MIN if leaks else HARMLESS_DAYS)
    noise = replace(service.noise, saw=min(service.noise.saw, 0.03))
    rss = base * (0.9 + 0.1 * curves.warm_up(minutes, rng.uniform(5, 60))) + pod_noise(rng, minutes.size, noise)
    shape = str(rng.choice(SHAPES.get(kind, SHAPES["tmpfs"])))
    grown = growth.growth(rng, minutes, onset_min, duration_min / room, shape)
    pod = PodMemory(
        kind,
        leaks=leaks,
        rss=rss,
        other=small + (grown if leaks else 0.0),
        cache=float(rng.uniform(0.0, 0.03)) if leaks else grown,
        max_working_set=pinned(rng, minutes.size, float(rng.uniform(0.95, 0.99))),
        onset_s=onset_min * 60 if leaks else None,
        cache_known=cache_known,
    )
    yield samples_of(rng, service, pod)
