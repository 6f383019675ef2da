"""Response bodies of Prometheus, decoded to series. Pure.

Strict: a response of another shape, with an error or with a warning, is rejected as a whole.
Incremental: one series is decoded at a time. Decoding all at once would keep each sample as several Python objects,
and would hold the interpreter lock, and thereby block the event loop, for the whole time.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from memroll.clients.prometheus.errors import QueryErrorReason
from memroll.detection.series import EMPTY, Series

if TYPE_CHECKING:
    from collections.abc import Iterator

_DECODER = json.JSONDecoder()
_SAMPLES = ([int, str], [float, str])
_TOUCHED = re.compile(r'"totalQueryableSamples": ?(\d{1,18})\b')
MAX_STATISTICS_CHARS = 4096
"""Maximum length of the statistics at the end of a response, in characters: they have some 500. Chosen by hand."""
_WHITESPACE = re.compile(r"[ \t\r\n]*")


class BadResponseError(Exception):
    """Unusable response. `text` completes a sentence that begins with the host's name.

    The client translates it into PrometheusUnavailableError, because only the client has the host's name.
    """

    def __init__(self, reason: QueryErrorReason, text: str) -> None:
        super().__init__(text)
        self.reason = reason
        self.text = text


def _malformed(content: str) -> BadResponseError:
    return BadResponseError(QueryErrorReason.BAD_RESPONSE, f"sent {content}: is the url that of a Prometheus?")


class _Cursor:
    """Position in a JSON text, to read its upper levels without decoding the whole text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def next_char(self) -> str:
        blank = _WHITESPACE.match(self._text, self._at)
        assert blank is not None, "the pattern also matches an empty string"
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
        """Yield at each item of an array or object; the caller consumes the item before the next iteration."""
        self.take(opening)
        if self.next_char() != closing:
            yield
            while self.next_char() == ",":
                self.take(",")
                yield
        self.take(closing)

    def members(self) -> Iterator[str]:
        """Yield the names of an object's members; the caller consumes each value before the next iteration."""
        for _ in self.items("{", "}"):
            name = self.value()
            if not isinstance(name, str):
                raise _malformed("no valid JSON")
            self.take(":")
            yield name


def iter_series(text: str, result_type: str) -> Iterator[dict[str, Any]]:
    """Yield the series of a response. It may be rejected at its end: use no series before the iteration ended."""
    cursor = _Cursor(text)
    fields: dict[str, Any] = {}
    for name in cursor.members():
        if name == "data" and cursor.next_char() == "{":
            yield from _iter_result(cursor, fields)
        else:
            fields[name] = cursor.value()
    if cursor.next_char():
        raise _malformed("more than one JSON value")
    _check(fields, result_type)


def _iter_result(cursor: _Cursor, fields: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for name in cursor.members():
        if name != "result":
            fields[f"data.{name}"] = cursor.value()
            continue
        fields["data.result"] = True
        for _ in cursor.items("[", "]"):
            series = cursor.value()
            if not isinstance(series, dict):
                raise _malformed("a result that is not a list of series")
            yield series


def _check(fields: dict[str, Any], result_type: str) -> None:
    if fields.get("status") != "success":
        raise _malformed("a response without status success")
    if fields.get("data.resultType") != result_type or "data.result" not in fields:
        raise _malformed(f"no {result_type}")
    if fields.get("isPartial"):  # set by VictoriaMetrics
        text = "sent partial data (isPartial): a part of its storage did not respond"
        raise BadResponseError(QueryErrorReason.PARTIAL_DATA, text)
    warnings = fields.get("warnings")
    count = sum(1 for w in warnings if not _is_hint(w)) if isinstance(warnings, list) else int(bool(warnings))
    if count:
        text = f"returned {count} warning(s), so samples may be missing: run the query there to read them"
        raise BadResponseError(QueryErrorReason.PARTIAL_DATA, text)


def _is_hint(warning: object) -> bool:
    """Return whether a warning only comments the query (unusual name of a counter): 2.48 to 2.53 send such warnings."""
    return isinstance(warning, str) and warning.startswith("PromQL info: ")


def touched_samples(text: str) -> int | None:
    """Return the number of samples that the server touched for a query, if it reports it (Prometheus).

    The statistics follow the result, so only the end of the text is searched. Quotes in a label are escaped, so no
    label looks like them.
    """
    found = _TOUCHED.search(text, max(0, len(text) - MAX_STATISTICS_CHARS))
    return int(found[1]) if found else None


def parse_labels(raw: dict[str, Any]) -> dict[str, str]:
    labels = raw.get("metric")
    if not isinstance(labels, dict) or not all(isinstance(v, str) for v in labels.values()):
        raise _malformed("a series without labels")
    return labels


def parse_number(value: object) -> float | None:
    """Return the number of `[time, "value"]`, or None if it is not finite."""
    if not isinstance(value, list) or [type(part) for part in value] not in _SAMPLES:
        raise _malformed("a sample that is not a pair of a time and a text")
    try:
        number = float(value[1])
    except ValueError:
        raise _malformed("a sample that is not a pair of a time and a number") from None
    return number if math.isfinite(number) else None


def parse_samples(values: object) -> Series:
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
