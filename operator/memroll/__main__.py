"""The entry point of `memroll`, `kubectl memroll` and `python -m memroll`.

Until a command runs, Ctrl-C ends the process at once: an import that is interrupted has a traceback.
"""

from __future__ import annotations

import signal
import sys

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not one that is ignored, as by `nohup`
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from memroll.cli import run


def main() -> int:
    return run(sys.argv)


if __name__ == "__main__":
    sys.exit(main())
