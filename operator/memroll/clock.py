"""Wall clock of the process. `cli`, `controller` and `clients` call it; all other layers take `now` as an argument."""

from datetime import UTC, datetime


def now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)  # noqa: TID251 - the only place where the ban of datetime.now does not apply
