"""Commands in this process, against the fake API server of the same test: a command has an event loop of its own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from memroll.cli import run

if TYPE_CHECKING:
    import pytest


class Ended(NamedTuple):
    """Result of a command."""

    code: int
    out: str
    err: str


async def execute(capsys: pytest.CaptureFixture[str], *arguments: str) -> Ended:
    code = await asyncio.to_thread(run, ["memroll", *arguments])
    return Ended(code, *capsys.readouterr())


def assert_one_line(ended: Ended, code: int, command: str) -> None:
    """Assert that a command ended with an error of one line and printed nothing else."""
    assert (ended.code, ended.out) == (code, ""), ended
    assert ended.err.startswith(f"memroll {command}: "), ended.err
    assert ended.err.count("\n") == 1, ended.err
    assert "Traceback" not in ended.err
