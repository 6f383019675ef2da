"""Codes of the load in two bytes: logarithmic, so that the relative error is the same for all loads. Pure.

Load only ever explains growth by how the two change together, so it is rounded to these values wherever it is read:
what a read returns does not depend on what was known before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from memroll.detection.series import Series

if TYPE_CHECKING:
    from numpy.typing import NDArray

STEPS_PER_OCTAVE = 1024
"""Number of codes from a load to its double, chosen by hand: an error of 0.034 % at most."""
MAX_CODE = 2**16 - 1
"""Last code of two bytes."""
LOWEST_EXPONENT = -24
"""Code 0 is a load of 0, code 1 the first one above 2 to the power of this; the last one is almost 2 to that of 40."""
_STEPS = np.exp2(np.arange(STEPS_PER_OCTAVE) / STEPS_PER_OCTAVE - 1)
"""Values from 0.5 to 1, as `frexp` returns them. Others differ by a power of two, which is exact."""
_LIMITS = np.sqrt(_STEPS * np.append(_STEPS[1:], 1.0))
"""Upper limit of what is rounded to each of the values."""


def round_load(series: Series) -> Series:
    """Return the series with each load rounded to that of its code; negative and extreme ones stay what they are."""
    codes, known = _codes(series.values)
    return Series(series.times_s, np.where(known, decode_loads(codes), series.values))


def encode_loads(values: NDArray[np.float64]) -> NDArray[np.uint16] | None:
    """Return the code of each load; None if not each is exactly that of its code."""
    codes, known = _codes(values)
    return codes if known.all() and np.array_equal(decode_loads(codes), values) else None


def decode_loads(codes: NDArray[np.uint16]) -> NDArray[np.float64]:
    """Return the load of each code."""
    exponent, step = np.divmod(codes.astype(np.intc), STEPS_PER_OCTAVE)
    return np.where(codes == 0, 0.0, np.ldexp(_STEPS[step], exponent + LOWEST_EXPONENT + 1))


def _codes(values: NDArray[np.float64]) -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
    """Return the code of the nearest load, and whether there is one."""
    mantissas, exponents = np.frexp(values)
    steps = np.searchsorted(_LIMITS, mantissas)  # that of 1.0 is the first one of the next octave
    codes = (exponents - LOWEST_EXPONENT - 1) * STEPS_PER_OCTAVE + steps
    is_zero = values == 0
    known = is_zero | ((values > 0) & (codes >= 1) & (codes <= MAX_CODE))
    return np.where(is_zero | ~known, 0, codes).astype(np.uint16), known
