"""Logging setup, and fields that every log record of a task carries.

Output: one JSON object per line for machines, or plain lines for people. Whole objects of the cluster are never logged.

Controllers set fields (policy, roll, pod) with `log_context`; the filter `add_context` copies them to each record, also
to records logged deep inside an adapter. A context variable belongs to the task that set it and to the tasks and
threads that the task starts, so concurrent reconciles keep their fields apart.
"""

from __future__ import annotations

import logging
import sys
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from pythonjsonlogger.json import JsonFormatter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FIELDS = "%(asctime)s %(levelname)s %(name)s %(message)s"

_context: ContextVar[Mapping[str, str]] = ContextVar("log_context")


def configure(log_format: str, level: str) -> None:
    """Send all logs to standard error in one format."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(add_context)
    if log_format == "json":
        renamed = {"asctime": "time", "levelname": "level", "name": "logger"}
        handler.setFormatter(JsonFormatter(FIELDS, rename_fields=renamed))
    else:
        handler.setFormatter(logging.Formatter(FIELDS))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for noisy in ("asyncio", "aiohttp", "urllib3", "kubernetes"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


@contextmanager
def log_context(**fields: str) -> Iterator[None]:
    """Add fields to the current ones for the duration of the block; an empty value adds nothing."""
    token = _context.set({**_context.get({}), **{name: value for name, value in fields.items() if value}})
    try:
        yield
    finally:
        _context.reset(token)


@contextmanager
def clear_log_context() -> Iterator[None]:
    """Remove all fields for the duration of the block."""
    token = _context.set({})
    try:
        yield
    finally:
        _context.reset(token)


def add_context(record: logging.LogRecord) -> bool:
    """Copy the current fields to a log record. A logging filter; fields that the record has already stay."""
    for name, value in _context.get({}).items():
        record.__dict__.setdefault(name, value)
    return True
