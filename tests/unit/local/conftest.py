from pathlib import Path

import pytest

from localcluster.layout import Layout


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Build a cluster's folders below a temporary one; nothing of it is running."""
    source = Path(__file__).parents[3] / "deploy" / "local"
    return Layout(source=source, cache=tmp_path / "cache", state=tmp_path / "state", run=tmp_path / "run")


@pytest.fixture
def progress() -> list[str]:
    return []
