"""Codes of the load: a bounded error, and the same values however often they are rounded or packed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memroll.clients.prometheus.load_codes import MAX_CODE, decode_loads, encode_loads, round_load
from memroll.clients.prometheus.packed_steps import HEADER_BYTES, PackedSteps
from memroll.detection.series import Series

T0 = 1_700_000_040.0
LOADS = st.one_of(st.just(0.0), st.floats(2.0**-23.9, 2.0**39.9))
ANY = st.floats(allow_nan=False, allow_infinity=False)


def series(values: list[float]) -> Series:
    return Series(T0 + 60 * np.arange(len(values)), np.array(values, dtype=np.float64))


@given(st.lists(LOADS, min_size=1, max_size=50))
def test_loads_are_rounded_by_little(values: list[float]) -> None:
    rounded = round_load(series(values)).values
    assert np.all(np.abs(rounded - values) <= 0.00034 * np.array(values))


@given(st.lists(LOADS, min_size=2, max_size=50))
def test_rounded_loads_take_two_bytes_and_are_packed_without_loss(values: list[float]) -> None:
    rounded = round_load(series(values))
    packed = PackedSteps.pack(rounded, 60.0)
    assert packed.unpack().values.tolist() == rounded.values.tolist()
    assert len(packed.data) - HEADER_BYTES <= 2 * len(values)


@given(st.lists(st.one_of(LOADS, ANY), max_size=50))
def test_rounding_again_changes_nothing(values: list[float]) -> None:
    once = round_load(series(values))
    assert round_load(once).values.tolist() == once.values.tolist()
    assert PackedSteps.pack(once, 60.0).unpack().values.tolist() == once.values.tolist()


def test_each_code_is_that_of_its_load_and_they_increase() -> None:
    codes = np.arange(MAX_CODE + 1).astype(np.uint16)
    loads = decode_loads(codes)
    assert np.all(np.diff(loads) > 0)
    assert (loads[1], loads[-1]) == (pytest.approx(2.0**-24, rel=1e-3), pytest.approx(2.0**40, rel=1e-3))
    found = encode_loads(loads)
    assert found is not None
    assert found.tolist() == codes.tolist()


@pytest.mark.parametrize("value", [-1.0, -1e-9, 2.0**-25, 2.0**40, 5e-324, 1e300])
def test_negative_and_extreme_loads_stay_what_they_are(value: float) -> None:
    assert round_load(series([value, 0.5])).values.tolist() == [value, 0.5]
    assert encode_loads(np.array([value, 0.5])) is None
