"""What pympler and objgraph would add, by stand-ins of the two functions that are called."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from memroll_probe import report
from memroll_probe.tally import RISES
from tests.unit.probe.driving import watch_with
from tests.unit.probe.schema import problems


class Entry:
    pass


KEPT = [Entry() for _ in range(50)]


def told(*, allowed, use_deep=True):
    watch = watch_with(deep=allowed)
    for step in range(RISES + 1):
        watch.census.see({f"{__name__}.Entry": 10 * step})
    made = report.full(watch, use_deep=use_deep)
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
    entry = told(allowed=True)
    assert (entry["sampleBytes"], entry["chain"]) == (4_096, ["module", "dict", f"{__name__}.Entry"])


@pytest.mark.parametrize(("allowed", "use_deep"), [(False, True), (True, False)])
def test_it_must_be_allowed_and_asked_for(tools, allowed, use_deep):
    assert "sampleBytes" not in told(allowed=allowed, use_deep=use_deep)


def test_a_service_without_them_is_told_without(monkeypatch):
    for name in ("pympler", "pympler.asizeof", "objgraph"):
        monkeypatch.setitem(sys.modules, name, None)
    entry = told(allowed=True)
    assert (entry["sampleBytes"], entry["chain"]) == (None, [])
