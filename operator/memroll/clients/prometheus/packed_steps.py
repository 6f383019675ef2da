"""Steps of one series, packed into as few bytes as give back exactly the same samples. Pure.

Memory is counted in pages, so two bytes of pages above the minimum hold most series; the load has codes of two bytes;
others are kept as they are.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

from memroll.clients.prometheus.load_codes import decode_loads, encode_loads
from memroll.detection.block_slopes import PAGE_BYTES
from memroll.detection.series import EMPTY, Series

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_INDEX = 2**16 - 1
"""Maximum index of a step, and maximum number of pages, in two bytes."""
_HEADER = struct.Struct("<IBBqqd")
"""Number of samples, form of the times and of the values, first time and unit of the indices in milliseconds, base."""
HEADER_BYTES = _HEADER.size


class TimeForm(IntEnum):
    """Form of the times of the samples."""

    WITHOUT_GAP = 0
    """No bytes: each step has a sample."""
    INDEX = 1
    """Index of each step, counted from the first one, in two bytes."""
    SECONDS = 2
    """Seconds in eight bytes, for samples that are not at multiples of a step."""


class ValueForm(IntEnum):
    """Form of the values of the samples."""

    CONSTANT = 0
    """No bytes: all are equal to the base."""
    PAGES = 1
    """Pages above the base, in two bytes."""
    LOAD = 2
    """Code of a load, in two bytes."""
    FLOAT = 3
    DOUBLE = 4


_TIME_BYTES = {TimeForm.WITHOUT_GAP: 0, TimeForm.INDEX: 2, TimeForm.SECONDS: 8}


@dataclass(frozen=True, slots=True)
class PackedSteps:
    """Samples of one series at multiples of a step."""

    data: bytes
    """Header, times and values: one object, as each further one takes some 50 bytes."""

    @classmethod
    def pack(cls, series: Series, step_s: float) -> PackedSteps:
        """Pack the samples. Times are multiples of a millisecond, as Prometheus' own."""
        count = len(series)
        if not count:
            return NO_STEPS
        step_ms = round(step_s * 1000)
        times_ms = np.rint(series.times_s * 1000).astype(np.int64)
        time_form, times = _pack_times(series, times_ms, step_ms)
        base = float(series.values.min())
        value_form, values = _pack_values(series, base)
        return cls(_HEADER.pack(count, time_form, value_form, int(times_ms[0]), step_ms, base) + times + values)

    def unpack(self) -> Series:
        """Return the packed samples."""
        count, time_form, value_form, start_ms, step_ms, base = _HEADER.unpack_from(self.data)
        if not count:
            return EMPTY
        if time_form == TimeForm.SECONDS:
            times_s = np.frombuffer(self.data, "<f8", count, HEADER_BYTES).copy()
        else:
            has_gap = time_form == TimeForm.INDEX
            index = np.frombuffer(self.data, "<u2", count, HEADER_BYTES) if has_gap else np.arange(count)
            times_s = (start_ms + index.astype(np.int64) * step_ms) / 1000
        if value_form == ValueForm.CONSTANT:
            return Series(times_s, np.full(count, base))
        offset = HEADER_BYTES + count * _TIME_BYTES[TimeForm(time_form)]
        if value_form == ValueForm.PAGES:
            return Series(times_s, _from_planes(self.data, count, offset).astype(np.float64) * PAGE_BYTES + base)
        if value_form == ValueForm.LOAD:
            return Series(times_s, decode_loads(_from_planes(self.data, count, offset)))
        code = "<f4" if value_form == ValueForm.FLOAT else "<f8"
        return Series(times_s, np.frombuffer(self.data, code, count, offset).astype(np.float64))


NO_STEPS = PackedSteps(_HEADER.pack(0, TimeForm.WITHOUT_GAP, ValueForm.CONSTANT, 0, 0, 0.0))


def _pack_times(series: Series, times_ms: NDArray[np.int64], step_ms: int) -> tuple[TimeForm, bytes]:
    index, rest = np.divmod(times_ms - times_ms[0], step_ms)
    if rest.any() or index[-1] > MAX_INDEX or not np.array_equal(times_ms / 1000, series.times_s):
        return TimeForm.SECONDS, series.times_s.astype("<f8").tobytes()
    if int(index[-1]) == len(series) - 1:
        return TimeForm.WITHOUT_GAP, b""
    return TimeForm.INDEX, index.astype("<u2").tobytes()


def _pack_values(series: Series, base: float) -> tuple[ValueForm, bytes]:
    """Return the shortest exact form."""
    values = series.values
    if not np.any(values != base):
        return ValueForm.CONSTANT, b""
    if base % PAGE_BYTES == 0:
        with np.errstate(over="ignore"):
            pages = (values - base) / PAGE_BYTES
        if pages.max() <= MAX_INDEX and np.array_equal(np.floor(pages), pages):
            return ValueForm.PAGES, _to_planes(pages.astype(np.uint16))
    codes = encode_loads(values)
    if codes is not None:
        return ValueForm.LOAD, _to_planes(codes)
    with np.errstate(over="ignore"):
        short = values.astype("<f4")
    if np.array_equal(short, values):
        return ValueForm.FLOAT, short.tobytes()
    return ValueForm.DOUBLE, values.astype("<f8").tobytes()


def _to_planes(numbers: NDArray[np.uint16]) -> bytes:
    """Return the lower bytes of the differences, then the upper ones: most of those are equal, and compress well."""
    differences = np.diff(numbers, prepend=np.uint16(0)).astype("<u2")
    return differences.view(np.uint8).reshape(-1, 2).T.tobytes()


def _from_planes(data: bytes, count: int, offset: int) -> NDArray[np.uint16]:
    """Return the numbers. Differences and sums are modulo 2^16."""
    planes = np.frombuffer(data, np.uint8, 2 * count, offset).reshape(2, -1)
    return np.cumsum(planes.T.copy().view("<u2").ravel(), dtype=np.uint16)
