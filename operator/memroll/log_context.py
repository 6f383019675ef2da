"""What this piece of work is about: named once, and then on every log line that is written meanwhile.

A context variable belongs to the task that set it and to the tasks and threads that it starts, so a hundred passes at
once keep their names apart, and a line from deep inside an adapter carries them as well.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterator, Mapping

_fields: ContextVar[Mapping[str, str]] = ContextVar("about")


@contextmanager
def about(**fields: str) -> Iterator[None]:
    """Name what follows, in addition to what is named already; an empty value names nothing."""
    token = _fields.set({**_fields.get({}), **{name: value for name, value in fields.items() if value}})
    try:
        yield
    finally:
        _fields.reset(token)


@contextmanager
def apart() -> Iterator[None]:
    """Take all names away from what follows: it is about something else."""
    token = _fields.set({})
    try:
        yield
    finally:
        _fields.reset(token)


def named(record: logging.LogRecord) -> bool:
    """Put the names on a log record: a filter, for a handler. What the line itself says of a name stays."""
    for name, value in _fields.get({}).items():
        record.__dict__.setdefault(name, value)
    return True
