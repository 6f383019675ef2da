from __future__ import annotations

import gc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memroll_probe.counter import MIN_RISE, MIN_RISES
from memroll_probe.errors import ResourceLimitError
from memroll_probe.object_counts import ObjectCounts, count_by_type
from memroll_probe.object_slots import types_by_id


def growing_after(*values, name="app.Entry"):
    counts = ObjectCounts()
    for value in values:
        counts.add({name: value})
    return counts.growing_types(10)


@pytest.mark.parametrize(
    ("counts", "rising"),
    [
        pytest.param([100, 200, 300, 400, 500], True, id="rises over four collections"),
        pytest.param([100, 200, 300, 400], False, id="only over three"),
        pytest.param([100, 5000, 5000, 5000, 5000, 5000], False, id="a high-water mark stays"),
        pytest.param([100, 200, 300, 400, 500, 500], False, id="rose and stopped"),
        pytest.param([100, 900, 200, 300, 400, 500, 600], False, id="grows back below an old high"),
        pytest.param([100, 900, 200, 901, 1000, 1100, 1200], True, id="grows beyond the old high"),
        pytest.param([100, 101, 102, 103, 104, 105], False, id="by too little"),
        pytest.param([100, 150, 120, 160, 130, 170, 140], False, id="swings, a little higher each time"),
    ],
)
def test_rising(counts, rising):
    assert [g.rising for g in growing_after(*counts)] == [rising]


def test_a_leak_is_counted_from_the_baseline_and_over_its_collections():
    (entry,) = growing_after(100, 100, 130, 160, 190, 220)
    assert (entry.count, entry.growth, entry.collections) == (220, 120, 4)


def test_a_type_that_was_missing_at_the_baseline_starts_at_zero():
    counts = ObjectCounts()
    counts.add({"dict": 5})
    counts.add({"dict": 5, "app.Late": 40})
    assert [(g.name, g.growth, g.rising) for g in counts.growing_types(10)] == [("app.Late", 40, False)]


def test_rising_types_come_first_and_the_service_s_own_before_builtins():
    counts = ObjectCounts()
    for step in range(6):
        counts.add({"dict": 100 * step, "app.Entry": 20 * step, "app.Once": 10_000 if step else 0})
    assert [g.name for g in counts.growing_types(10)] == ["app.Entry", "dict", "app.Once"]


def test_a_type_that_is_gone_is_forgotten():
    counts = ObjectCounts()
    counts.add({"app.Entry": 1})
    counts.add({})
    counts.add({"app.Entry": 3})
    assert [g.growth for g in counts.growing_types(10)] == [3]


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=30))
def test_rising_means_a_new_high_at_each_of_the_last_collections(counts):
    rising = any(g.rising for g in growing_after(*counts))
    highs = [count > max(counts[: i + 1]) for i, count in enumerate(counts[1:])]
    expected = len(highs) >= MIN_RISES and all(highs[-MIN_RISES:])
    if rising:
        assert expected
        assert counts[-1] - counts[0] >= MIN_RISE or counts[-1] > counts[0]
    elif expected:
        start = len(counts) - 1
        while start > 0 and highs[start - 1]:
            start -= 1
        assert counts[-1] - counts[start] < MIN_RISE


@given(st.lists(st.integers(0, 500), min_size=5, max_size=60))
def test_a_level_that_was_reached_before_is_never_rising(counts):
    assert not any(g.rising for g in growing_after(max(counts), *counts))


def test_objects_are_counted_by_type():
    class Entry:
        pass

    kept = [Entry() for _ in range(123)]
    found = [
        count for name, count in count_by_type().items() if name.endswith("objects_are_counted_by_type.<locals>.Entry")
    ]
    assert found == [len(kept)]


class Hostile(type):
    """Metaclass whose hash and attributes raise errors."""

    def __hash__(cls):
        raise RuntimeError("hash")

    def __eq__(cls, other):
        raise RuntimeError("eq")

    def __getattribute__(cls, name):
        raise RuntimeError(name)


def test_a_hostile_metaclass_is_bypassed():
    class Entry(metaclass=Hostile):
        pass

    kept = [object.__new__(Entry) for _ in range(10)]
    assert any(name.endswith("hostile_metaclass_is_bypassed.<locals>.Entry") for name in count_by_type())
    assert type(kept[0]) is types_by_id()[id(type(kept[0]))]


def test_a_proxy_is_counted_by_its_real_type():
    class Proxy:
        @property
        def __class__(self):
            raise RuntimeError("__class__")

    kept = [Proxy() for _ in range(7)]
    counts = count_by_type()
    assert [n for name, n in counts.items() if name.endswith("<locals>.Proxy")] == [len(kept)]


def test_with_the_collector_disabled_no_full_collection_is_forced():
    gc.disable()
    try:
        before = gc.get_stats()[2]["collections"]
        with pytest.raises(ResourceLimitError, match="the garbage collector is disabled"):
            ObjectCounts().sample()
        assert gc.get_stats()[2]["collections"] == before
    finally:
        gc.enable()
