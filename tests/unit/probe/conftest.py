from __future__ import annotations

import tracemalloc

import pytest


@pytest.fixture(autouse=True)
def _not_traced_afterwards():
    yield
    tracemalloc.stop()
