"""Base of all commands: help with examples, and the parameter types and groups of options that several share."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import click

from memroll.api.quantity import parse_bytes, parse_duration
from memroll.cli import errors
from memroll.cli.interrupts import interruptible

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

F = TypeVar("F", bound="Callable[..., Any]")

HELP_SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
"""Settings of click for each command."""
DAY_S = 86_400.0
"""Duration of a day, in seconds."""
SINCE_DAYS_MAX = 365
"""Maximum of `--since`, in days; chosen by hand."""


class MemrollCommand(click.Command):
    """Command whose help ends with examples."""

    def __init__(self, *args: Any, examples: Sequence[str] = (), **kwargs: Any) -> None:
        kwargs["context_settings"] = HELP_SETTINGS | kwargs.get("context_settings", {})
        super().__init__(*args, **kwargs)
        self.examples = tuple(examples)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's own
        errors.note_command(ctx.command_path)
        with interruptible():
            return super().invoke(ctx)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if self.examples:
            formatter.write_paragraph()
            formatter.write_heading("Examples")
            for example in self.examples:
                formatter.write(f"  {ctx.find_root().command_path} {example}\n")
        super().format_epilog(ctx, formatter)


def command(name: str, *, examples: Sequence[str], **kwargs: Any) -> Callable[[Callable[..., Any]], MemrollCommand]:
    """Return the decorator that makes a function the command of this name. Its docstring is the help."""
    return click.command(name, cls=MemrollCommand, examples=tuple(examples), **kwargs)


class PeriodSeconds(click.ParamType[float]):
    """Period in days, or a duration in the grammar of policies; in seconds."""

    name = "period"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # noqa: ANN401 - click's own
        if isinstance(value, float):
            return value
        days = value.removesuffix("d")
        try:
            seconds = int(days) * DAY_S if days != value and days.isdecimal() else parse_duration(value).total_seconds()
        except ValueError:
            self.fail(f"{value!r} must be days such as 14d, or a duration such as 36h", param, ctx)
        if not 1 <= seconds <= SINCE_DAYS_MAX * DAY_S:
            self.fail(f"{value!r} must be from 1s to {SINCE_DAYS_MAX}d", param, ctx)
        return seconds


class DurationSeconds(click.ParamType[float]):
    """Duration in the grammar of policies, in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # noqa: ANN401 - click's own
        if isinstance(value, float):
            return value
        try:
            return parse_duration(value).total_seconds()
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Count(click.ParamType[int]):
    """Count of at least one."""

    name = "count"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:  # noqa: ANN401 - click's own
        if isinstance(value, int):
            return value
        if not value.isdecimal() or int(value) < 1:
            self.fail(f"{value!r} must be a count of at least 1", param, ctx)
        return int(value)


class Bytes(click.ParamType[int]):
    """Quantity of bytes in the grammar of Kubernetes."""

    name = "bytes"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:  # noqa: ANN401 - click's own
        if isinstance(value, int):
            return value
        try:
            return parse_bytes(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class RuleNames(click.ParamType[tuple[str, ...]]):
    """Names of baseline rules, separated by commas; `all` or `none`."""

    name = "rules"

    def __init__(self, known: tuple[str, ...]) -> None:
        self._known = known

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:  # noqa: ANN401 - click's own
        if isinstance(value, tuple):
            return value
        if value in ("all", "none"):
            return self._known if value == "all" else ()
        names = tuple(value.split(","))
        for name in names:
            if name not in self._known:
                similar = get_close_matches(name, self._known, 1)
                hint = f". Did you mean {similar[0]!r}?" if similar else ""
                self.fail(f"{name!r} is not all, none, or one of {', '.join(self._known)}{hint}", param, ctx)
        return names


class Label(click.ParamType[tuple[str, str]]):
    """Label as `name=value`; `Connection` checks both."""

    name = "label"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:  # noqa: ANN401 - click's own
        if isinstance(value, tuple):
            return value
        name, equals, text = value.partition("=")
        if not equals:
            self.fail(f"{value!r} must be NAME=VALUE such as cluster=prod-eu", param, ctx)
        return name, text


def refuse_both(first: str, second: str, *given: object) -> None:
    """Raise a usage error if both of two options are given. `second` is named as the one that is in the way."""
    if all(given):
        raise click.UsageError(f"{first} is not allowed with {second}: choose one of the two")


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """Options that select the cluster and the user."""

    kubeconfig: str | None = None
    context: str | None = None
    user: str | None = None
    """User to impersonate."""
    groups: tuple[str, ...] = ()
    """Groups to impersonate."""


def _complete_contexts(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001 - click's own
    from memroll.clients.kube.kubeconfig import context_names  # noqa: PLC0415 - loads the client of Kubernetes

    return [name for name in context_names(ctx.params.get("kubeconfig")) if name.startswith(incomplete)]


def cluster_options(function: F) -> F:
    """Add kubectl's options of the cluster, as the argument `cluster`."""

    @click.option("--kubeconfig", metavar="FILE", help="kubeconfig to use (default: KUBECONFIG, ~/.kube/config)")
    @click.option("--context", metavar="NAME", shell_complete=_complete_contexts, help="context of the kubeconfig")
    @click.option("--as", "as_user", metavar="USER", help="user to impersonate")
    @click.option("--as-group", "as_groups", metavar="GROUP", multiple=True, help="with --as: its group; repeatable")
    @wraps(function)
    def wrapped(
        *args: Any,
        kubeconfig: str | None,
        context: str | None,
        as_user: str | None,
        as_groups: tuple[str, ...],
        **kwargs: Any,
    ) -> Any:  # noqa: ANN401 - passed on
        if as_groups and not as_user:
            raise click.UsageError("--as-group needs --as USER: a group is impersonated with a user")
        for text in (as_user or "", *as_groups):
            if not text.isprintable():
                raise click.UsageError("--as and --as-group must be printable text in one line")
        options = ClusterOptions(kubeconfig or None, context or None, as_user or None, as_groups)
        return function(*args, cluster=options, **kwargs)

    return wrapped  # type: ignore[return-value] # the same function for its callers, which are in click


def namespace_options(function: F) -> F:
    """Add `-n` and `-A`, as the argument `namespace`: empty for all, None for that of the current context."""

    @click.option("-n", "--namespace", metavar="NAME", help="namespace (default: that of the kubeconfig's context)")
    @click.option("-A", "--all-namespaces", is_flag=True, help="all namespaces")
    @wraps(function)
    def wrapped(*args: Any, namespace: str | None, all_namespaces: bool, **kwargs: Any) -> Any:  # noqa: ANN401 - passed on
        refuse_both("-A", "argument -n", namespace is not None, all_namespaces)
        return function(*args, namespace="" if all_namespaces else namespace, **kwargs)

    return wrapped  # type: ignore[return-value] # the same function for its callers, which are in click


def output_option(*formats: str, default: str | None = "table") -> Callable[[F], F]:
    """Return the decorator that adds `-o` with these formats, as the argument `output`."""
    shown = "default: table" if default is not None else "default: by the name of FILE, else table"
    return click.option("-o", "--output", type=click.Choice(formats), default=default, help=f"format ({shown})")
