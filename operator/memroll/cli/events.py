"""Command `memroll events`: the Events that memroll has published."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from memroll import clock
from memroll.api.base import rfc3339
from memroll.api.quantity import humanize_duration
from memroll.cli import connection, watching
from memroll.cli.command import ClusterOptions, PeriodSeconds, cluster_options, namespace_options, output_option
from memroll.cli.command import command as define
from memroll.cli.output import PLAIN_FORMATS, write_document, write_text
from memroll.inspection.event_log import PublishedEvent, read_events
from memroll.rendering import Marked, Severity

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from memroll.rendering import Row

HEADER: Row = ("AGE", "TYPE", "REASON", "OBJECT", "MESSAGE")


@define(
    "events",
    examples=["events", "events -A --since 1d", "events deployment/chat -n ai", "events chat-7d4b9c5f6-x7k2p -w"],
)
@click.argument("about", metavar="[NAME | KIND/NAME]", default="")
@namespace_options
@click.option("--since", type=PeriodSeconds(), metavar="1h", default="1h", help="length of time (default: 1h)")
@click.option("-w", "--watch", is_flag=True, help="show new Events until Ctrl-C")
@output_option(*PLAIN_FORMATS)
@cluster_options
def command(
    about: str, namespace: str | None, since: float, output: str, cluster: ClusterOptions, *, watch: bool
) -> None:
    """Show the Events that memroll has published about pods, workloads and policies; the API server keeps them 1h."""
    scope = connection.default_namespace(cluster) if namespace is None else namespace
    shown = EventPrinter(output, has_namespace=not scope)
    asyncio.run(_events(cluster, scope, about, since, shown, watch=watch))


class EventPrinter:
    """Prints the Events that it has not printed before."""

    def __init__(self, output: str, *, has_namespace: bool) -> None:
        self._output, self._has_namespace = output, has_namespace
        self._printed: set[PublishedEvent] = set()

    def show(self, found: Sequence[PublishedEvent]) -> None:
        new = [event for event in found if event not in self._printed]
        is_first = not self._printed
        self._printed |= set(new)
        if self._output in ("json", "yaml"):
            write_document([to_document(event) for event in new], self._output)
        elif new:
            write_text([self._header(), *(self._row(event, clock.now()) for event in new)])
        elif is_first:
            click.echo("no Event of memroll in this time: a longer one is --since 1d", err=True)

    def _header(self) -> Row:
        return ("NAMESPACE", *HEADER) if self._has_namespace else HEADER

    def _row(self, event: PublishedEvent, now: datetime) -> Row:
        times = f" (x{event.count})" if event.count > 1 else ""
        type_ = Marked("Warning", Severity.WARNING) if event.is_warning else "Normal"
        age = humanize_duration((now - event.at).total_seconds()) + times
        row = age, type_, event.reason, event.about, event.message
        return (event.namespace, *row) if self._has_namespace else row


async def _events(
    options: ClusterOptions, namespace: str, about: str, since_s: float, printer: EventPrinter, *, watch: bool
) -> None:
    async with connection.open_api(options) as api:
        await watching.repeat(
            lambda: read_events(api, namespace, clock.now() - timedelta(seconds=since_s), about),
            printer.show,
            watch=watch,
        )


def to_document(event: PublishedEvent) -> dict[str, Any]:
    """Return an Event as a document. Its fields are part of the interface of the command."""
    return {
        "namespace": event.namespace,
        "time": rfc3339(event.at),
        "type": "Warning" if event.is_warning else "Normal",
        "reason": event.reason,
        "object": event.about,
        "count": event.count,
        "message": event.message,
    }
