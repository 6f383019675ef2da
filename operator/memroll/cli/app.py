"""The root command: the table of all commands, and the group that imports a command when it is used."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem, shell_complete

from memroll import __version__
from memroll.cli import COMPLETION_VARIABLE
from memroll.cli.command import HELP_SETTINGS

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Entry:
    """Line of a command in the list of commands, and the module that contains it as `command`."""

    module: str
    summary: str


SECTIONS: Mapping[str, Mapping[str, Entry]] = {
    "See and explain": {
        "scan": Entry("scan", "Find every leak of a cluster, without installing anything"),
        "status": Entry("status", "Show policies, workloads and pods as a tree, and what blocks a roll"),
        "explain": Entry("explain", "Explain a pod: its verdict, all checks, all gates, what happens next"),
        "plan": Entry("plan", "Show which pods would be rolled when, over the next hours"),
        "events": Entry("events", "Show the Events that memroll has published"),
    },
    "Act": {
        "roll": Entry("roll", "Roll a pod now, by hand"),
        "cancel": Entry("cancel", "Cancel a roll in progress and restore its pod"),
        "suspend": Entry("suspend", "Suspend policies: nothing is assessed or rolled"),
        "resume": Entry("resume", "Resume suspended policies"),
    },
    "Analyze": {
        "backtest": Entry("backtest", "Replay a policy over recorded history"),
        "report": Entry("report", "Write a report of all leaks for the teams that can fix them"),
    },
    "Set up": {
        "check": Entry("check", "Check the cluster, the operator, its rights, and Prometheus"),
        "crds": Entry("crds", "Print the CustomResourceDefinitions, or write them to a folder"),
        "version": Entry("version", "Print the version"),
        "completion": Entry("completion", "Print the completion script of a shell"),
        "help": Entry("help_command", "Show the help of a command"),
    },
    "In the cluster (run by the chart)": {
        "operator": Entry("operator", "Run the operator"),
        "cleanup": Entry("cleanup", "Roll back all rolls in progress, before memroll is uninstalled"),
    },
}
"""The commands by section, in the order in which the help lists them."""
ENTRIES: Mapping[str, Entry] = {name: entry for section in SECTIONS.values() for name, entry in section.items()}
HIDDEN: Mapping[str, str] = {"__complete": "completion_items"}
"""Modules of commands that no list contains."""


class LazyCommands(click.Group):
    """Group of commands that are imported when they run: the help of one need not load all."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the signature of click
        return list(ENTRIES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - the same
        module = ENTRIES[cmd_name].module if cmd_name in ENTRIES else HIDDEN.get(cmd_name)
        if module is None:
            return None
        command: click.Command = import_module(f"memroll.cli.{module}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in ENTRIES and args[0] not in HIDDEN and not args[0].startswith("-"):
            raise click.NoSuchCommand(args[0], possibilities=ENTRIES, ctx=ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - the same
        for title, entries in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, entry.summary) for name, entry in entries.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        commands = [CompletionItem(n, help=e.summary) for n, e in ENTRIES.items() if n.startswith(incomplete)]
        return commands or click.Command.shell_complete(self, ctx, incomplete)


@click.group(
    cls=LazyCommands,
    context_settings=HELP_SETTINGS,
    help="Replaces leaking pods before the kernel kills them. As a plugin of kubectl: kubectl memroll.",
    epilog="'memroll COMMAND --help' shows the options of a command, with examples.",
    invoke_without_command=True,
)
@click.version_option(__version__, "--version", prog_name="memroll", message="%(prog)s %(version)s")
@click.pass_context
def memroll(ctx: click.Context) -> None:
    """Show the help if there is no command, as kubectl does; the commands act."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main(program: str, arguments: list[str]) -> int | None:
    """Run a command and return its exit code. Exceptions are those of the command, which click would translate."""
    request = os.environ.get(COMPLETION_VARIABLE)
    if request:
        return shell_complete(memroll, {}, program, COMPLETION_VARIABLE, request)
    try:
        with memroll.make_context(program, arguments) as ctx:
            code: int | None = memroll.invoke(ctx)
            return code
    except click.exceptions.Exit as ended:
        return ended.exit_code
