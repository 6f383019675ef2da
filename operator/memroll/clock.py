"""The one place that reads the wall clock. Everything below takes `now` as an argument."""

from datetime import UTC, datetime


def now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - this module is what the ban points to
