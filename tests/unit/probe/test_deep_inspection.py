"""Results of pympler and objgraph in the report, with fakes of the two functions that are called."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from memroll_probe import report
from memroll_probe.counter import MIN_RISES
from tests.unit.probe.harness import state_with
from tests.unit.probe.schema import problems


class Entry:
    pass


KEPT = [Entry() for _ in range(50)]


def first_type(*, allowed, deep=True):
    state = state_with(deep=allowed)
    for step in range(MIN_RISES + 1):
        state.object_counts.add({f"{__name__}.Entry": 10 * step})
    made = report.build_report(state, deep=deep)
    assert problems(made) == []
    return made["types"][0]


@pytest.fixture
def tools(monkeypatch):
    sizes = SimpleNamespace(asizeof=lambda thing, limit: 4_096 if type(thing) is Entry else 0)
    graph = SimpleNamespace(is_proper_module=None, find_backref_chain=lambda thing, found, max_depth: [sys, {}, thing])
    monkeypatch.setitem(sys.modules, "pympler", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "pympler.asizeof", sizes)
    monkeypatch.setitem(sys.modules, "objgraph", graph)


def test_a_rising_type_gets_the_size_of_a_sample_and_a_chain_of_types(tools):
    entry = first_type(allowed=True)
    assert (entry["sampleBytes"], entry["chain"]) == (4_096, ["module", "dict", f"{__name__}.Entry"])


@pytest.mark.parametrize(("allowed", "deep"), [(False, True), (True, False)])
def test_deep_inspection_must_be_allowed_and_requested(tools, allowed, deep):
    assert "sampleBytes" not in first_type(allowed=allowed, deep=deep)


def test_without_the_packages_the_fields_are_empty(monkeypatch):
    for name in ("pympler", "pympler.asizeof", "objgraph"):
        monkeypatch.setitem(sys.modules, name, None)
    entry = first_type(allowed=True)
    assert (entry["sampleBytes"], entry["chain"]) == (None, [])
