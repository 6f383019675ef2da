from __future__ import annotations

import tracemalloc

import pytest

from memroll_probe import state


@pytest.fixture(autouse=True)
def _stop_sampling():
    """Stop sampling and tracing after each test: the next test starts without them."""
    yield
    for each in list(state._STATES):
        each.stop()
    tracemalloc.stop()
