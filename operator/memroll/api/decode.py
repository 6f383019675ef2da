"""Decode lists of raw API objects, without those that are invalid.

An object of a newer version, or one that was written around the API server's validation, must not stop the others.
Controllers, the reconcilers and the report command call this module. Pure.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

logger = logging.getLogger(__name__)

T = TypeVar("T")

MAX_ERRORS = 16
"""Maximum number of errors of an object that are reported, chosen by hand."""
MAX_ERROR_CHARS = 1024
"""Maximum length of the errors of an object, in characters, as of a condition's message in the CRD."""


def decode_valid(
    raws: Iterable[dict[str, Any]],
    decode: Callable[[dict[str, Any]], T],
    on_invalid: Callable[[dict[str, Any]], None] = lambda _: None,
) -> Iterator[T]:
    """Yield the decoded objects; call `on_invalid` with each object that `decode` rejects, or fails on."""
    for raw in raws:
        try:
            decoded = decode(raw)
        except ValidationError:
            on_invalid(raw)
        except Exception:
            logger.exception("bug: decoding an object failed")
            on_invalid(raw)
        else:
            yield decoded


def summarize(error: ValidationError, prefix: str = "") -> str:
    """Return the first errors of an object as one line, without its values, which can have any size."""
    details = error.errors(include_url=False, include_context=False, include_input=False)[:MAX_ERRORS]
    found = "; ".join(f"{prefix}{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in details)
    return found[:MAX_ERROR_CHARS]


def decode_or_none(raw: dict[str, Any] | None, decode: Callable[[dict[str, Any]], T]) -> T | None:
    """Return the decoded object; None for a missing or invalid one."""
    return None if raw is None else next(decode_valid([raw], decode), None)
