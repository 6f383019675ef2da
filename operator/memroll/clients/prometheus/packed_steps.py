"""Steps of one series, packed into as few bytes as give back exactly the same samples. Pure.

Memory is counted in pages, so two bytes of pages above the minimum hold most series; others are kept as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from memroll.detection.block_slopes import PAGE_BYTES
from memroll.detection.series import EMPTY, Series

MAX_INDEX = 2**16 - 1
"""Maximum index of a step, and maximum number of pages, in two bytes."""


@dataclass(frozen=True, slots=True)
class PackedSteps:
    """Samples of one series at multiples of a step."""

    count: int
    start_ms: int
    times: bytes
    """Index of each step, counted from the first one; empty if there is no gap."""
    time_unit_ms: int
    """Unit of the indices, in milliseconds; 0 if `times` are seconds, for samples that are not at multiples."""
    values: bytes
    code: str
    """Type of the values as numpy names it; pages above `base` for `u2`; empty if all are equal to `base`."""
    base: float

    @classmethod
    def pack(cls, series: Series, step_s: float) -> PackedSteps:
        """Pack the samples. Times are multiples of a millisecond, as Prometheus' own."""
        count = len(series)
        if not count:
            return NO_STEPS
        values, code, base = _pack_values(series)
        step_ms = round(step_s * 1000)
        times_ms = np.rint(series.times_s * 1000).astype(np.int64)
        start_ms = int(times_ms[0])
        index, rest = np.divmod(times_ms - start_ms, step_ms)
        if rest.any() or index[-1] > MAX_INDEX or not np.array_equal(times_ms / 1000, series.times_s):
            return cls(count, start_ms, series.times_s.tobytes(), 0, values, code, base)
        times = b"" if int(index[-1]) == count - 1 else index.astype("u2").tobytes()
        return cls(count, start_ms, times, step_ms, values, code, base)

    @property
    def size_bytes(self) -> int:
        """Number of bytes of the samples themselves."""
        return len(self.times) + len(self.values)

    def unpack(self) -> Series:
        """Return the packed samples."""
        if not self.count:
            return EMPTY
        if not self.time_unit_ms:
            times_s = np.frombuffer(self.times)
        else:
            index = np.frombuffer(self.times, "u2").astype(np.int64) if self.times else np.arange(self.count)
            times_s = (self.start_ms + index * self.time_unit_ms) / 1000
        if not self.code:
            return Series(times_s, np.full(self.count, self.base))
        values = np.frombuffer(self.values, self.code).astype(np.float64)
        return Series(times_s, values * PAGE_BYTES + self.base if self.code == "u2" else values)


NO_STEPS = PackedSteps(0, 0, b"", 0, b"", "", 0.0)


def _pack_values(series: Series) -> tuple[bytes, str, float]:
    """Return the bytes, the type and the base of the shortest exact form."""
    values, base = series.values, float(series.values.min())
    if not np.any(values != base):
        return b"", "", base
    with np.errstate(over="ignore"):
        pages, short = (values - base) / PAGE_BYTES, values.astype("f4")
    if base % PAGE_BYTES == 0 and pages.max() <= MAX_INDEX and not np.any(pages % 1):
        return pages.astype("u2").tobytes(), "u2", base
    if np.array_equal(short, values):
        return short.tobytes(), "f4", base
    return values.tobytes(), "f8", base
