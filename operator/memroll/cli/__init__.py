"""The command line: `memroll` and `kubectl memroll`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from memroll import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

USAGE_ERROR = 2


def run(argv: Sequence[str]) -> int:
    """Carry out the command and return the exit code."""
    arguments = _parser(argv[0]).parse_args(argv[1:])
    return int(arguments.command(arguments))


def _parser(invoked_as: str) -> argparse.ArgumentParser:
    name = "kubectl memroll" if Path(invoked_as).name.startswith("kubectl-") else "memroll"
    parser = argparse.ArgumentParser(name, description="Replaces leaking pods before the kernel kills them.")
    parser.add_argument("--version", action="version", version=f"memroll {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    operator = commands.add_parser("operator", help="run the operator; settings come from MEMROLL_* variables")
    operator.set_defaults(command=_operator)

    crds = commands.add_parser("crds", help="print the CustomResourceDefinitions, or write them into a folder")
    crds.add_argument("--write", type=Path, metavar="DIR", help="write one file per kind into DIR")
    crds.set_defaults(command=_crds)
    return parser


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
