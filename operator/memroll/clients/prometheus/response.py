"""The text of an answer, as series. Pure, strict, and gentle.

Strict: an answer of another shape, with an error or with a warning counts as no answer at all.
Gentle: the answer is decoded one series at a time. Decoding it in one go would keep every sample as several
Python objects, and would hold the interpreter's lock, and with it the event loop, all the while.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from memroll.clients.prometheus.errors import Reason
from memroll.detection.series import EMPTY, Series

if TYPE_CHECKING:
    from collections.abc import Iterator

_DECODER = json.JSONDecoder()
_SAMPLES = ([int, str], [float, str])
_BLANK = re.compile(r"[ \t\r\n]*")


class BadAnswer(Exception):  # noqa: N818 - the provider turns it into what its callers know
    """The answer can't be used. `text` completes a sentence that begins with the host's name."""

    def __init__(self, reason: Reason, text: str) -> None:
        super().__init__(text)
        self.reason = reason
        self.text = text


def _malformed(what: str) -> BadAnswer:
    return BadAnswer(Reason.BAD_RESPONSE, f"sent {what}: is the url that of a Prometheus?")


class _Cursor:
    """A place in a JSON text, for walking its upper levels without decoding the whole."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def next_char(self) -> str:
        blank = _BLANK.match(self._text, self._at)
        assert blank is not None, "the pattern matches nothing as well"
        self._at = blank.end()
        return self._text[self._at : self._at + 1]

    def take(self, char: str) -> None:
        if self.next_char() != char:
            raise _malformed("no valid JSON")
        self._at += 1

    def value(self) -> Any:  # noqa: ANN401 - JSON
        self.next_char()
        try:
            found, self._at = _DECODER.raw_decode(self._text, self._at)
        except (ValueError, RecursionError):
            raise _malformed("no valid JSON") from None
        return found

    def items(self, opening: str, closing: str) -> Iterator[None]:
        """Stop at each item of an array or object; the caller consumes it before going on."""
        self.take(opening)
        if self.next_char() != closing:
            yield
            while self.next_char() == ",":
                self.take(",")
                yield
        self.take(closing)

    def members(self) -> Iterator[str]:
        """Yield an object's names; the caller consumes each value before going on."""
        for _ in self.items("{", "}"):
            name = self.value()
            if not isinstance(name, str):
                raise _malformed("no valid JSON")
            self.take(":")
            yield name


def series_of(text: str, result_type: str) -> Iterator[dict[str, Any]]:
    """Yield the series of an answer. What spoils it may stand at its end: use nothing before the iteration ended."""
    cursor = _Cursor(text)
    told: dict[str, Any] = {}
    for name in cursor.members():
        if name == "data" and cursor.next_char() == "{":
            yield from _data(cursor, told)
        else:
            told[name] = cursor.value()
    if cursor.next_char():
        raise _malformed("more than one JSON value")
    _check(told, result_type)


def _data(cursor: _Cursor, told: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for name in cursor.members():
        if name != "result":
            told[f"data.{name}"] = cursor.value()
            continue
        told["data.result"] = True
        for _ in cursor.items("[", "]"):
            series = cursor.value()
            if not isinstance(series, dict):
                raise _malformed("a result that is not a list of series")
            yield series


def _check(told: dict[str, Any], result_type: str) -> None:
    if told.get("status") != "success":
        raise _malformed("an answer that is no success")
    if told.get("data.resultType") != result_type or "data.result" not in told:
        raise _malformed(f"no {result_type}")
    if told.get("isPartial"):  # VictoriaMetrics: a part of the storage did not answer
        raise BadAnswer(Reason.PARTIAL_DATA, "answered in part (isPartial): some of its storage did not answer")
    warnings = told.get("warnings")
    count = sum(1 for w in warnings if not _is_hint(w)) if isinstance(warnings, list) else int(bool(warnings))
    if count:
        text = f"answered with {count} warning(s), so samples may be missing: run the query there to read them"
        raise BadAnswer(Reason.PARTIAL_DATA, text)


def _is_hint(warning: object) -> bool:
    """Tell a remark on the query, such as that a name is unusual for a counter: 2.48 to 2.53 send them as warnings."""
    return isinstance(warning, str) and warning.startswith("PromQL info: ")


def labels_of(raw: dict[str, Any]) -> dict[str, str]:
    labels = raw.get("metric")
    if not isinstance(labels, dict) or not all(isinstance(v, str) for v in labels.values()):
        raise _malformed("a series without labels")
    return labels


def number_of(value: object) -> float | None:
    """Return the number of `[time, "value"]`, or None where it is not finite."""
    if not isinstance(value, list) or [type(part) for part in value] not in _SAMPLES:
        raise _malformed("a sample that is not a pair of a time and a text")
    try:
        number = float(value[1])
    except ValueError:
        raise _malformed("a sample that is not a pair of a time and a number") from None
    return number if math.isfinite(number) else None


def samples_of(values: object) -> Series:
    """Return the finite samples of `[[time, "value"], ...]`, in order."""
    if not isinstance(values, list):
        raise _malformed("a series without samples")
    if not values:
        return EMPTY
    try:
        times, texts = zip(*values, strict=True)
        if set(map(type, texts)) != {str} or not set(map(type, times)) <= {int, float}:
            raise _malformed("samples that are not pairs of a time and a text")
        numbers = np.fromiter(map(float, texts), np.float64, len(texts))
        return _ordered(np.array(times, dtype=np.float64), numbers)
    except (TypeError, ValueError, OverflowError):
        raise _malformed("samples that are not pairs of a time and a number") from None


def _ordered(times: np.ndarray[Any, np.dtype[np.float64]], values: np.ndarray[Any, np.dtype[np.float64]]) -> Series:
    finite = np.isfinite(times) & np.isfinite(values)
    if not finite.all():
        times, values = times[finite], values[finite]
    if (np.diff(times) > 0).all():
        return Series(times, values)
    return Series.of(zip(times.tolist(), values.tolist(), strict=True))
