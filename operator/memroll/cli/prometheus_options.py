"""Options that select the settings of the operator and its Prometheus, for commands that assess pods."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from pydantic import ValidationError

from memroll.cli.command import refuse_both
from memroll.cli.errors import InvalidArgumentError
from memroll.cli.settings_options import load_settings
from memroll.clients.prometheus.client import PrometheusClient
from memroll.clients.prometheus.config import Connection, Connections
from memroll.clients.prometheus.credentials import ConnectionsFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from memroll.settings import Settings

F = TypeVar("F", bound="Callable[..., Any]")

NO_PROMETHEUS = (
    "no connection to Prometheus: give --prometheus URL (see 'kubectl port-forward') or --connections FILE, "
    "or run the command in the operator's pod: kubectl exec -n memroll-system deploy/memroll -- memroll ..."
)


@dataclass(frozen=True, slots=True)
class OperatorOptions:
    """Settings of the operator, and the Prometheus that the command queries instead of the operator's."""

    settings: Settings
    prometheus: str | None = None
    """URL; None: the connections file."""


def operator_options(function: F) -> F:
    """Add the options that a command needs to assess pods as the operator does, as the argument `operator`."""

    @click.option("--prometheus", metavar="URL", help="Prometheus to query (default: that of the connections file)")
    @click.option("--connections", metavar="FILE", help="the operator's file with the connections to Prometheus")
    @click.option("--settings-file", metavar="FILE", help="the operator's settings (default: its defaults)")
    @wraps(function)
    def wrapped(
        *args: Any, prometheus: str | None, connections: str | None, settings_file: str | None, **kwargs: Any
    ) -> Any:  # noqa: ANN401 - passed on
        refuse_both("--prometheus", "--connections", prometheus, connections)
        flags = {"connections_file": connections, "settings_file": settings_file}
        settings = load_settings(os.environ, {name: text for name, text in flags.items() if text}).settings
        options = OperatorOptions(settings, prometheus)
        if prometheus is not None or connections:
            read_connections(options, ())  # an invalid argument is reported before the cluster is used
        return function(*args, operator=options, **kwargs)

    return wrapped  # type: ignore[return-value] # the same function for its callers, which are in click


def read_connections(options: OperatorOptions, names: Iterable[str]) -> Connections:
    """Return the connections: those of the operator's file, or the given URL under all names that policies use."""
    if options.prometheus is None:
        file = Path(options.settings.connections_file)
        if not file.exists() and options.settings.connections_file == type(options.settings)().connections_file:
            raise InvalidArgumentError(NO_PROMETHEUS)
        return ConnectionsFile(file)()
    return Connections(connections=dict.fromkeys(names, as_connection(options.prometheus)))


def as_connection(url: str) -> Connection:
    """Return the connection to the URL of `--prometheus`."""
    try:
        return Connection(url=url)
    except ValidationError as error:
        text = error.errors(include_url=False, include_input=False)[0]["msg"].removeprefix("Value error, ")
        raise InvalidArgumentError(f"--prometheus {text}") from None  # the URL may hold a password


@contextmanager
def open_prometheus(options: OperatorOptions, names: Iterable[str]) -> Iterator[PrometheusClient]:
    """Return the client of Prometheus, and close it at the end."""
    client = PrometheusClient(read_connections(options, names))
    try:
        yield client
    finally:
        client.close()
