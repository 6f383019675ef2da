"""Packed steps give back the same samples; the cache of them is bounded."""

from __future__ import annotations

import gc
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memroll.clients.prometheus.load_codes import round_load
from memroll.clients.prometheus.packed_steps import HEADER_BYTES, PackedSteps
from memroll.clients.prometheus.query_plan import SeriesKind
from memroll.clients.prometheus.rows import InstanceKey
from memroll.clients.prometheus.step_cache import UNUSED_S, KnownSteps, StepCache, StepKey
from memroll.detection.series import EMPTY, Series

STEP_S = 60.0
T0 = 1_700_000_040.0
NOBODY = frozenset[str]()


def steps(values: list[float], *, first: int = 0, every: int = 1, offset_s: float = 0.0) -> Series:
    times = T0 + offset_s + STEP_S * (first + every * np.arange(len(values)))
    return Series(times, np.array(values, dtype=np.float64))


@pytest.mark.parametrize(
    ("series", "bytes_each"),
    [
        (EMPTY, 0),
        (steps([7.5] * 100), 0),
        (steps([4096.0 * n for n in range(1000)]), 2),
        (steps([2.0**36 + 4096.0 * n * n for n in range(100)]), 2),
        (steps([4096.0 * 70000 * n for n in range(100)]), 4),
        (steps([n + 0.5 for n in range(100)]), 4),
        (steps([n / 7 for n in range(100)]), 8),
        (round_load(steps([n / 7 for n in range(100)])), 2),
        (steps([1e300, 2e300]), 8),
        (steps([4096.0 * n for n in range(100)], every=2), 4),
        (steps([4096.0 * n for n in range(100)], offset_s=0.25), 2),
    ],
)
def test_samples_are_packed_without_loss(series: Series, bytes_each: int) -> None:
    packed = PackedSteps.pack(series, STEP_S)
    assert_same(packed.unpack(), series)
    assert len(packed.data) == HEADER_BYTES + bytes_each * len(series)


@given(
    st.lists(
        st.tuples(st.integers(0, 10**7), st.floats(allow_nan=False, allow_infinity=False)),
        max_size=30,
        unique_by=lambda sample: sample[0],
    ),
    st.sampled_from([1.0, 15.0, 60.0, 61.017]),
)
def test_any_samples_are_packed_without_loss(samples: list[tuple[int, float]], step_s: float) -> None:
    series = Series.of([((1_700_000_000_000 + ms) / 1000, value) for ms, value in samples])
    assert_same(PackedSteps.pack(series, step_s).unpack(), series)


def assert_same(found: Series, expected: Series) -> None:
    assert found.times_s.tolist() == expected.times_s.tolist()
    assert found.values.tolist() == expected.values.tolist()


def key_of(pod: str) -> StepKey:
    return StepKey("ai", pod, "app", SeriesKind.RSS, SeriesKind.RSS, STEP_S)


def known_of(pod: str, count: int = 1000) -> KnownSteps:
    """Return steps of random pages, which can't be compressed."""
    pages = np.random.default_rng(1).integers(0, 2**16, count)
    packed = PackedSteps.pack(steps([4096.0 * n for n in pages.tolist()]), STEP_S)
    return KnownSteps(((InstanceKey(pod, "app", "a" * 64, frozenset()), packed),), T0, T0 + count * STEP_S)


def test_the_cache_is_bounded_and_keeps_what_is_in_use() -> None:
    cache, names = StepCache(max_bytes=20_000), [f"web-{n}" for n in range(50)]
    for at_s in (0.0, 300.0):
        for name in names:
            cache.store(key_of(name), known_of(name), at_s)
    kept = [n for n in names if cache.find(key_of(n), T0, T0 + 1e6, NOBODY) is not None]
    assert kept == names[: len(kept)], "the same ones at each pass"
    assert 5 <= len(kept) <= 10
    assert cache.size_bytes <= 20_000


def test_what_is_not_used_makes_room() -> None:
    cache = StepCache(max_bytes=4000)
    cache.store(key_of("old"), known_of("old"), 0.0)
    one_bytes = cache.size_bytes
    cache.store(key_of("new"), known_of("new"), UNUSED_S + 1)
    assert cache.find(key_of("old"), T0, T0 + 1e6, NOBODY) is None
    assert cache.find(key_of("new"), T0, T0 + 1e6, NOBODY) is not None
    assert cache.size_bytes == one_bytes, "only one of two entries of the same size"


def test_what_has_no_room_is_not_known_even_if_it_was() -> None:
    cache = StepCache(max_bytes=4000)
    cache.store(key_of("x"), known_of("x"), 0.0)
    cache.store(key_of("x"), known_of("x", 3000), 1.0)
    assert cache.find(key_of("x"), T0, T0 + 1e6, NOBODY) is None
    assert cache.size_bytes == 0


def test_steps_without_a_new_one_are_not_packed_again_but_are_in_use() -> None:
    """Most reads of blocks: half an interval or more passes until the next one is complete."""
    cache, known = StepCache(), known_of("x")
    cache.store(key_of("x"), known, 0.0)
    later = replace(known, instances=known_of("x", 999).instances, start_s=T0 + 300)
    cache.store(key_of("x"), later, UNUSED_S)
    cache.store(key_of("y"), known, 2 * UNUSED_S)
    assert cache.find(key_of("x"), T0 + 300, T0 + 1e6, NOBODY) == known
    longer = replace(known_of("x", 1001), start_s=T0 + 300)
    cache.store(key_of("x"), longer, 2 * UNUSED_S)
    assert cache.find(key_of("x"), T0 + 300, T0 + 1e6, NOBODY) == longer


@pytest.mark.parametrize("labels", [frozenset[tuple[str, str]](), frozenset({("node", "a"), ("zone", "\u00e9")})])
def test_an_entry_gives_back_what_was_stored(labels: frozenset[tuple[str, str]]) -> None:
    packed = PackedSteps.pack(steps([4096.0 * n for n in range(9)]), STEP_S)
    instances = tuple((InstanceKey("web-1", container, "", labels), packed) for container in ("app", "proxy"))
    known = KnownSteps(instances, T0, T0 + 540, frozenset({"web-2", "web-3"}))
    cache = StepCache()
    cache.store(key_of("x"), known, 0.0)
    assert cache.find(key_of("x"), T0, T0 + 600, frozenset({"web-2", "web-3"})) == known


def test_the_estimated_size_is_the_measured_one() -> None:
    """As after many reads: strings of its own for each pod, and keys and steps that no other entry has."""
    cache, count = StepCache(), 3000
    gc.collect()  # without the free lists that earlier tests have filled: what is reused from them is not measured
    tracemalloc.start()
    try:
        for n in range(count):
            container_id = f"{n:064}"
            pod = f"deployment-7f9c6d{n:04}-{n:05}"
            packed = PackedSteps.pack(steps([4096.0 * n for n in range(36)]), STEP_S)
            known = KnownSteps(((InstanceKey(pod, "app", container_id, frozenset()), packed),), T0, T0 + 2160.0)
            cache.store(key_of(pod), known, 0.0)
        measured, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert measured == pytest.approx(cache.size_bytes, rel=0.15)


@pytest.mark.parametrize(
    ("start_s", "end_s", "running", "usable"),
    [
        (T0 + 60, T0 + 60_120, {"p"}, True),
        (T0 - 60, T0 + 60_120, {"p"}, False),
        (T0 + 60, T0 + 59_000, {"p"}, False),
        (T0 + 60_060, T0 + 99_000, {"p"}, False),
        (T0 + 60, T0 + 60_120, {"p", "q"}, True),
        (T0 + 60, T0 + 60_120, set(), False),
    ],
    ids=["later", "more history", "the clock went back", "a hole", "a new pod", "a pod has gone"],
)
def test_known_steps_are_usable_if_they_can_be_completed(
    start_s: float, end_s: float, running: set[str], *, usable: bool
) -> None:
    cache = StepCache()
    known = KnownSteps(known_of("x").instances, T0, T0 + 60_000, frozenset({"p"}))
    cache.store(key_of("x"), known, 0.0)
    assert (cache.find(key_of("x"), start_s, end_s, frozenset(running)) is not None) is usable
