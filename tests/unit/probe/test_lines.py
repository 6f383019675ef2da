from __future__ import annotations

import random
import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from memroll_probe import lines
from memroll_probe.lines import (
    PACKAGE_FOLDER,
    LineMemory,
    find_growth,
    is_probe_allocation,
    sampling_stride,
    sum_by_line,
)

A, B = (("app.py", 1),), (("app.py", 2), ("main.py", 9))
OTHER_PATH = (("app.py", 2), ("other.py", 5))


def trace(size, frames):
    return (0, size, frames, len(frames))


def memory(size, blocks=1, frames=A):
    return LineMemory(size, blocks, frames, size)


def test_blocks_are_summed_by_the_line_that_allocated_them():
    found = sum_by_line([trace(10, A), trace(5, A), trace(7, B)])
    assert {line: (h.bytes, h.blocks) for line, h in found.items()} == {A[0]: (15, 2), B[0]: (7, 1)}


def test_the_call_path_that_holds_most_is_reported():
    assert sum_by_line([trace(10, B), trace(6, OTHER_PATH), trace(6, OTHER_PATH)])[B[0]].frames == OTHER_PATH


def test_many_small_blocks_are_sampled_and_large_ones_are_exact(monkeypatch):
    monkeypatch.setattr(lines, "MAX_BLOCKS_READ", 1_000)
    blocks = [trace(100, A)] * 20_000 + [trace(1, B)] * 20_000 + [trace(10_000_000, (("big.py", 3),))]
    random.Random(7).shuffle(blocks)
    found = sum_by_line(blocks)
    assert sampling_stride(len(blocks)) == 41
    assert found["big.py", 3].bytes == 10_000_000
    assert abs(found[A[0]].bytes - 2_000_000) < 300_000


@given(st.lists(st.tuples(st.integers(1, 10**7), st.sampled_from([A, B, OTHER_PATH])), max_size=200))
def test_no_byte_is_lost(blocks):
    assert sum(h.bytes for h in sum_by_line([trace(*b) for b in blocks]).values()) == sum(size for size, _ in blocks)


def test_growth_is_the_difference_to_the_baseline_largest_first():
    now = {("a", 1): memory(100), ("b", 1): memory(500, 5), ("c", 1): memory(50), ("d", 1): memory(10)}
    before = {("a", 1): memory(20), ("c", 1): memory(50), ("d", 1): memory(90)}
    assert [(g.file, g.bytes, g.blocks, g.total_bytes) for g in find_growth(now, before, 10)] == [
        ("b", 500, 5, 500),
        ("a", 80, 0, 100),
    ]


_LINES = st.dictionaries(
    st.tuples(st.text(max_size=5), st.integers(1, 9)), st.integers(0, 10**9).map(memory), max_size=30
)


@given(_LINES, _LINES, st.integers(0, 10))
def test_growth_is_positive_bounded_and_in_order(now, before, limit):
    sizes = [g.bytes for g in find_growth(now, before, limit)]
    assert len(sizes) <= limit
    assert all(size > 0 for size in sizes)
    assert sizes == sorted(sizes, reverse=True)


def test_the_probe_s_own_work_is_not_the_service_s():
    object_counts, middleware = (str(PACKAGE_FOLDER / "object_counts.py"), 1), (str(PACKAGE_FOLDER / "asgi.py"), 1)
    app, json = ("app.py", 1), ("json/encoder.py", 1)
    assert is_probe_allocation((object_counts,))
    assert is_probe_allocation((middleware, app))
    assert is_probe_allocation((json, object_counts))
    assert is_probe_allocation(((tracemalloc.__file__, 1),))
    assert not is_probe_allocation((app, middleware)), "the application is called by the middleware"
    assert not is_probe_allocation((json, app))
