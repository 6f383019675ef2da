"""Release of this checkout, with a fixed time, into a folder of the test."""

from __future__ import annotations

import pytest

from memroll_release.release import ROOT, Options, read_release

EPOCH_S = 1_700_000_000


@pytest.fixture
def release(tmp_path):
    dist = tmp_path / "dist"
    dist.mkdir()
    return read_release(ROOT, dist, Options(), {"SOURCE_DATE_EPOCH": str(EPOCH_S)})


@pytest.fixture
def folder(tmp_path):
    """Empty folder, as a part gets it."""
    built = tmp_path / "built"
    built.mkdir()
    return built
