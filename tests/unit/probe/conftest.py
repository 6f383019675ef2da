from __future__ import annotations

import tracemalloc

import pytest

from memroll_probe import watch


@pytest.fixture(autouse=True)
def _nobody_looks_afterwards():
    """The tests that follow are other services: they are neither looked at nor traced."""
    yield
    for each in list(watch._WATCHES):
        each.end()
    tracemalloc.stop()
