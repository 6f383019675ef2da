"""`python -m memroll_probe -- COMMAND`: runs a command whose Python processes wrap their application in the probe.

The command replaces this process, so that signals and process 1 behave as without the probe.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from memroll_probe.settings import ProbeSettings

BOOTSTRAP = Path(__file__).parent / "_bootstrap"
EXIT_NOT_FOUND = 127
"""Exit status of a command that can't be executed, as in a shell."""


def environment(environ: dict[str, str]) -> dict[str, str]:
    """Return the environment of the command. With the probe on, the bootstrap folder is first on Python's path."""
    if not ProbeSettings.from_environment(environ).enabled:
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
        return EXIT_NOT_FOUND


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
