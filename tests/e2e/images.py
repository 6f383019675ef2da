"""`python -m tests.e2e.images`: build the images of the end-to-end tests, while the quick tests run."""

from __future__ import annotations

import sys

from memroll_demo import cluster as demo_cluster

OPERATOR = "localhost/memroll:e2e"
SYSTEMS = "localhost/memroll-systems:e2e"


def main() -> int:
    """Build changed images; without a local cluster nothing is built: the environment names the images."""
    cluster = None if demo_cluster.is_current() else demo_cluster.status()
    if cluster is not None:
        cluster.build_operator_image(OPERATOR)
        cluster.build_systems_image(SYSTEMS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
