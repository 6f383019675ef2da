import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcluster import procfs, supervisor
from localcluster.components import Component
from localcluster.paths import ClusterPaths
from localcluster.procfs import ProcessIdentity

SLEEPER = Component("sleeper", (sys.executable, "-c", "import time; time.sleep(600)"), stop_seconds=5)


@pytest.fixture
def paths(tmp_path: Path) -> ClusterPaths:
    """Return the paths of a cluster below a temporary folder; nothing of it is running."""
    source = Path(__file__).parents[3] / "deploy" / "local"
    return ClusterPaths(source=source, cache=tmp_path / "cache", state=tmp_path / "state", run=tmp_path / "run")


@pytest.fixture
def progress() -> list[str]:
    return []


@pytest.fixture
def started(paths: ClusterPaths) -> Iterator[ProcessIdentity]:
    """Start SLEEPER, and kill it afterwards."""
    paths.state.mkdir()
    identity = supervisor.start(paths, SLEEPER)
    yield identity
    procfs.kill([identity])
