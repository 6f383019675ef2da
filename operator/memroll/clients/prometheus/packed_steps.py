"""Steps of one series, packed into as few bytes as give back exactly the same samples. Pure.

Memory is counted in pages, so two bytes of pages above the minimum hold most series; the load has codes of two bytes;
others are kept as they are.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from memroll.clients.prometheus.load_codes import decode_loads, encode_loads
from memroll.detection.block_slopes import PAGE_BYTES
from memroll.detection.series import EMPTY, Series

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
_VALUE_TYPES = {ValueForm.PAGES: "<u2", ValueForm.LOAD: "<u2", ValueForm.FLOAT: "<f4", ValueForm.DOUBLE: "<f8"}


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
        elif time_form == TimeForm.INDEX:
            times_s = (
                start_ms + np.frombuffer(self.data, "<u2", count, HEADER_BYTES).astype(np.int64) * step_ms
            ) / 1000
        else:
            times_s = (start_ms + np.arange(count) * step_ms) / 1000
        if value_form == ValueForm.CONSTANT:
            return Series(times_s, np.full(count, base))
        offset = HEADER_BYTES + count * _TIME_BYTES[TimeForm(time_form)]
        values = np.frombuffer(self.data, _VALUE_TYPES[ValueForm(value_form)], count, offset)
        if value_form == ValueForm.LOAD:
            return Series(times_s, decode_loads(values))
        values = values.astype(np.float64)
        return Series(times_s, values * PAGE_BYTES + base if value_form == ValueForm.PAGES else values)


NO_STEPS = PackedSteps(_HEADER.pack(0, TimeForm.WITHOUT_GAP, ValueForm.CONSTANT, 0, 0, 0.0))


def _pack_times(
    series: Series, times_ms: np.ndarray[tuple[int], np.dtype[np.int64]], step_ms: int
) -> tuple[TimeForm, bytes]:
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
    with np.errstate(over="ignore"):
        pages, short = (values - base) / PAGE_BYTES, values.astype("<f4")
    if base % PAGE_BYTES == 0 and pages.max() <= MAX_INDEX and not np.any(pages % 1):
        return ValueForm.PAGES, pages.astype("<u2").tobytes()
    codes = encode_loads(values)
    if codes is not None:
        return ValueForm.LOAD, codes.astype("<u2").tobytes()
    if np.array_equal(short, values):
        return ValueForm.FLOAT, short.tobytes()
    return ValueForm.DOUBLE, values.astype("<f8").tobytes()
