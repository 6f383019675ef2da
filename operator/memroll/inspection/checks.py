"""Results of the preflight: one for each thing that memroll needs. `memroll check` and `helm test` print them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from memroll.inspection import remedies

if TYPE_CHECKING:
    from memroll.errors import MemrollError


class CheckState(StrEnum):
    """State of one thing that memroll needs."""

    OK = "ok"
    """It is as memroll needs it."""
    WARNING = "warning"
    """Memroll works, with a limitation that the message names; also an error of a single policy."""
    FAILED = "failed"
    """Memroll does not work."""
    SKIPPED = "skipped"
    """It could not be checked, which the message explains."""


@dataclass(frozen=True, slots=True)
class CheckItem:
    """Result of one check."""

    name: str
    state: CheckState
    message: str
    """Observed value, and the remedy if there is something to change."""


def ok(name: str, message: str) -> CheckItem:
    return CheckItem(name, CheckState.OK, message)


def warning(name: str, message: str) -> CheckItem:
    return CheckItem(name, CheckState.WARNING, message)


def failed(name: str, message: str) -> CheckItem:
    return CheckItem(name, CheckState.FAILED, message)


def skipped(name: str, message: str) -> CheckItem:
    return CheckItem(name, CheckState.SKIPPED, message)


def from_error(name: str, error: MemrollError) -> CheckItem:
    """Return the result of a check that an error ended. Without the permission for it, nothing is known."""
    message = remedies.describe(error)
    return skipped(name, message) if error.reason == "Forbidden" else failed(name, message)
