"""The time to decode a body is linear in its size, and the garbage collector goes on afterwards."""

from __future__ import annotations

import gc
import time

import pytest

from memroll.clients.kube.response_body import MAX_PAGE_BYTES, decode_body

MAX_RATIO = 8.0
"""Maximum ratio of the times at four times the size: caches of the processor make it more than four."""


def decode_s(item: str, size: int) -> float:
    raw = ('{"items":[' + ",".join([item] * (size // (len(item) + 1))) + "]}").encode()
    durations_s = []
    for _ in range(5):
        begun_s = time.thread_time()
        decode_body(raw, strict=True)
        durations_s.append(time.thread_time() - begun_s)
    return min(durations_s)


@pytest.mark.parametrize("item", ["[]", "{}", '{"a":1}', '"a"', "1.5", '"\\u00e9\\n"'])
def test_the_time_is_linear(item):
    """With the garbage collector, empty lists took five times as long."""
    ratios = []
    for _ in range(3):
        ratios.append(decode_s(item, MAX_PAGE_BYTES) / decode_s(item, MAX_PAGE_BYTES // 4))
        if ratios[-1] < MAX_RATIO:
            return
    pytest.fail(f"four times the size takes {ratios} times as long")


@pytest.mark.parametrize("raw", [b"{}", b"no json", b"[" * 200_000])
def test_the_garbage_collector_goes_on(raw):
    assert gc.isenabled()
    decode_body(raw, strict=False)
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off():
    gc.disable()
    try:
        decode_body(b"{}", strict=True)
        assert not gc.isenabled()
    finally:
        gc.enable()
