"""`python -m memroll_probe -- COMMAND`: run a command whose Python processes put the probe around their application.

The command is executed in this process's place, so that signals and process 1 are as without it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from memroll_probe.settings import Settings

BOOTSTRAP = Path(__file__).parent / "_bootstrap"
NOT_FOUND = 127


def environment(environ: dict[str, str]) -> dict[str, str]:
    """Return the environment of the command: with the bootstrap first on Python's path, if the probe is on."""
    if not Settings.from_environment(environ).on:
        return environ
    paths = [str(BOOTSTRAP), *filter(None, environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {**environ, "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))}


def main(arguments: list[str]) -> int:
    command = arguments[1:] if arguments[:1] == ["--"] else arguments
    if not command:
        sys.stderr.write("usage: python -m memroll_probe -- COMMAND [ARGUMENT...]\n")
        return 2
    try:
        os.execvpe(command[0], command, environment(dict(os.environ)))  # noqa: S606 - running a command is its purpose
    except OSError as error:
        sys.stderr.write(f"memroll_probe: {command[0]}: {error.strerror}\n")
        return NOT_FOUND


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
