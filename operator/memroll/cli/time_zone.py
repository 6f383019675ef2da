"""Option `--time-zone` of the commands that write a page: the zone in which it shows times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

from memroll.pages.times import PageClock

if TYPE_CHECKING:
    from collections.abc import Callable

UTC = "UTC"


class ZonedClock(click.ParamType[PageClock]):
    """Name of a time zone, such as Europe/Berlin."""

    name = "time zone"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> PageClock:  # noqa: ANN401 - click's own
        if isinstance(value, PageClock):
            return value
        try:
            return PageClock(ZoneInfo(value))
        except (KeyError, ValueError, OSError):  # unknown, not a name, and a folder of names
            self.fail(f"{value!r} must be the name of a time zone such as Europe/Berlin", param, ctx)


def time_zone_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--time-zone`, as the argument `page_clock`."""
    shown = "of the HTML page: zone of its times (default: UTC)"
    return click.option("--time-zone", "page_clock", type=ZonedClock(), metavar="NAME", default=UTC, help=shown)(
        command
    )
