"""Command line of `memroll` and `kubectl memroll`: parses the arguments and runs a command."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from memroll import __version__
from memroll.api.quantity import parse_duration

if TYPE_CHECKING:
    from collections.abc import Sequence

USAGE_ERROR = 2
"""Exit code for invalid arguments, as argparse uses it."""
DAY_S = 86_400.0
"""Duration of a day, in seconds."""
SINCE_DAYS_MAX = 365
"""Maximum of `--since`, in days; chosen by hand."""


def run(argv: Sequence[str]) -> int:
    """Run the command and return the exit code."""
    arguments = _parser(argv[0]).parse_args(argv[1:])
    return int(arguments.command(arguments))


def _parser(invoked_as: str) -> argparse.ArgumentParser:
    name = "kubectl memroll" if Path(invoked_as).name.startswith("kubectl-") else "memroll"
    parser = argparse.ArgumentParser(name, description="Replaces leaking pods before the kernel kills them.")
    parser.add_argument("--version", action="version", version=f"memroll {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    operator = commands.add_parser("operator", help="run the operator; settings come from MEMROLL_* variables")
    operator.set_defaults(command=_operator)

    cleanup = commands.add_parser("cleanup", help="roll back all rolls in progress, before memroll is uninstalled")
    cleanup.add_argument("--timeout", type=_seconds, metavar="4m", default=240.0, help="default: 4m")
    cleanup.set_defaults(command=_cleanup)

    crds = commands.add_parser("crds", help="print the CustomResourceDefinitions, or write them to a folder")
    crds.add_argument("--write", type=Path, metavar="DIR", help="write one file per kind to DIR")
    crds.set_defaults(command=_crds)
    _add_backtest(commands)
    _add_report(commands)
    return parser


def _add_backtest(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("backtest", help="replay a policy over recorded history")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--traces", type=Path, metavar="DIR", help="read DIR/MANIFEST.csv and the files that it lists")
    source.add_argument("--prometheus", metavar="URL", help="read the history of a Prometheus server; needs -n")
    parser.add_argument("-n", "--namespace", metavar="NAME", help="with --prometheus: namespace of the pods")
    parser.add_argument(
        "--since",
        type=_days,
        metavar="14d",
        default=14 * DAY_S,
        help="with --prometheus: length of the history (default: 14d)",
    )
    parser.add_argument("--workload", metavar="PREFIX", default="", help="with --prometheus: prefix of the pods' names")
    parser.add_argument(
        "--match-label",
        type=_label,
        action="append",
        metavar="NAME=VALUE",
        default=[],
        help="with --prometheus: label of all series, such as the cluster's in a store of several; repeatable",
    )
    parser.add_argument(
        "--policy", type=Path, metavar="FILE", help="file with a MemoryPolicy (default: a policy with all defaults)"
    )
    parser.add_argument("--output", choices=("table", "json"), default="table", help="default: table")
    parser.add_argument(
        "--report", type=Path, metavar="FILE.html", help="also write an HTML page with a plot of each trace"
    )
    parser.add_argument(
        "--plots", type=_count, metavar="N", default=200, help="number of plots in the report (default: 200)"
    )
    parser.add_argument(
        "--rules",
        choices=("all", "none"),
        default="all",
        help="also replay simpler rules for comparison (default: all)",
    )
    parser.add_argument(
        "--jobs",
        type=_count,
        metavar="N",
        default=os.cpu_count() or 1,
        help="number of processes (default: one per core)",
    )
    parser.set_defaults(command=_backtest)


def _add_report(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "report", help="write a report of all leaks: the policies' ledgers and the evidence of their rolls"
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "-n", "--namespace", metavar="NAME", help="default: namespace of the kubeconfig's current context"
    )
    where.add_argument("-A", "--all-namespaces", action="store_true")
    parser.add_argument("--since", type=_days, metavar="30d", default=30 * DAY_S, help="default: 30d")
    parser.add_argument(
        "-o", "--output", choices=("table", "json", "html"), help="default: derived from the name of FILE, else table"
    )
    parser.add_argument("--write", type=Path, metavar="FILE", help="write to FILE instead of standard output")
    parser.set_defaults(command=_report)


def _report(arguments: argparse.Namespace) -> int:
    from memroll.cli import report  # noqa: PLC0415 - the other commands need not load the client

    return report.command(arguments)


def _days(text: str) -> float:
    """Parse a period into seconds: days, or a duration in the grammar of policies."""
    days = text.removesuffix("d")
    try:
        seconds = int(days) * DAY_S if days != text and days.isdecimal() else parse_duration(text).total_seconds()
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} must be days such as 14d, or a duration such as 36h") from None
    if not 1 <= seconds <= SINCE_DAYS_MAX * DAY_S:
        raise argparse.ArgumentTypeError(f"{text!r} must be from 1s to {SINCE_DAYS_MAX}d")
    return seconds


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a count of at least 1")
    return int(text)


def _label(text: str) -> tuple[str, str]:
    """Parse `name=value`; `Connection` checks both."""
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} must be NAME=VALUE such as cluster=prod-eu")
    return name, value


def _backtest(arguments: argparse.Namespace) -> int:
    from memroll.cli import backtest  # noqa: PLC0415 - the other commands need not load the analysis

    return backtest.command(arguments)


def _seconds(text: str) -> float:
    try:
        return parse_duration(text).total_seconds()
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _cleanup(arguments: argparse.Namespace) -> int:
    from memroll.cli import cleanup  # noqa: PLC0415 - loaded only by the command that needs it

    return cleanup.run(os.environ, arguments.timeout)


def _operator(_: argparse.Namespace) -> int:
    from memroll.cli import operator  # noqa: PLC0415 - the other commands need not load kopf and the clients

    return operator.run(os.environ)


def _crds(arguments: argparse.Namespace) -> int:
    from memroll.api import crd  # noqa: PLC0415 - loaded only by the command that needs it

    files = crd.files()
    if arguments.write is None:
        sys.stdout.write("---\n".join(files.values()))
        return 0
    if not arguments.write.is_dir():
        print(f"memroll crds: --write {arguments.write}: no such folder", file=sys.stderr)
        return USAGE_ERROR
    for name, text in files.items():
        (arguments.write / name).write_text(text, encoding="utf-8")
    return 0
