"""The entry point of `memroll`, `kubectl memroll` and `python -m memroll`."""

from __future__ import annotations

import sys

from memroll.cli import run


def main() -> int:
    return run(sys.argv)


if __name__ == "__main__":
    sys.exit(main())
