"""`python -m tests.e2e.images`: build the images that the end-to-end tests run, while the quick tests are running."""

from __future__ import annotations

import sys

from memroll_demo import site

OPERATOR = "localhost/memroll:e2e"
SYSTEMS = "localhost/memroll-systems:e2e"


def main() -> int:
    """Build what has changed; without a local cluster the environment names the images, and nothing is built."""
    where = None if site.is_current() else site.status()
    if where is not None:
        where.operator_image(OPERATOR)
        where.systems_image(SYSTEMS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
