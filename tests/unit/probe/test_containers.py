from __future__ import annotations

import gc
from collections import OrderedDict, defaultdict, deque

import pytest

from memroll_probe import containers
from memroll_probe.containers import LEAST_ITEMS, Containers, Descent, alive, lengths, newest
from memroll_probe.tally import RISES


class Leaf:
    pass


class Holder:
    def __init__(self, **names):
        vars(self).update(names)


def of_length(kind):
    numbered = [(number, Leaf()) for number in range(LEAST_ITEMS)]
    made = kind(int) if kind is defaultdict else kind()
    if kind in containers.MAPPINGS:
        made.update(numbered)
    elif kind is set:
        made.update(leaf for _, leaf in numbered)
    else:
        made.extend(leaf for _, leaf in numbered)
    return made


@pytest.mark.parametrize("kind", [dict, defaultdict, OrderedDict, list, deque, set], ids=lambda k: k.__name__)
def test_a_container_is_measured_found_again_and_looked_into(kind):
    made = of_length(kind)
    assert lengths()[id(made)] == LEAST_ITEMS
    assert alive([id(made)])[id(made)] is made
    assert Leaf in {type(item) for item in newest(made)}


def test_a_small_container_and_one_of_the_service_s_own_kind_are_left_alone():
    class Own(dict):
        def __len__(self):
            raise AssertionError("code of the service")

    small, own = [Leaf()], Own({number: Leaf() for number in range(LEAST_ITEMS)})
    found = lengths()
    assert id(small) not in found
    assert id(own) not in found


def test_what_grows_at_each_look_rises_and_what_grew_once_does_not():
    seen = Containers()
    for step in range(RISES + 1):
        seen.see({1: 100 + 30 * step, 2: 100 + 50 * step, 3: 900 if step else 100})
    assert seen.rising(10) == {2: 50 * RISES, 1: 30 * RISES}
    assert list(seen.rising(1)) == [2]


def test_a_container_that_is_gone_is_forgotten():
    seen = Containers()
    for step in range(RISES + 1):
        seen.see({1: 100 + 30 * step})
    seen.see({})
    assert seen.rising(10) == {}


def depths(container, *kinds, stops=()):
    return Descent(frozenset(map(id, stops))).depths(container, {id(kind): kind.__name__ for kind in kinds})


def test_types_are_found_some_steps_below_a_container():
    graph = Holder()
    vertex = Holder(graph=graph, inputs=[Leaf()])
    graph.vertices = [vertex]
    observers = {"run": [vertex.__init__]}
    found = depths(observers, Holder, Leaf)
    assert set(found) == {"Holder", "Leaf"}
    assert found["Holder"] < found["Leaf"]


def test_what_only_another_growing_container_holds_is_not_told_of_this_one():
    inner = [Leaf()]
    assert depths([inner], Leaf) != {}
    assert depths([inner], Leaf, stops=[inner]) == {}


def test_modules_classes_and_functions_are_no_way_down():
    def closure(leaf=Leaf()):  # noqa: B008 - something that only the function holds
        return leaf

    class Kind:
        leaf = Leaf()

    assert depths([gc, closure, Kind], Leaf) == {}


def test_a_way_down_that_never_ends_is_left(monkeypatch):
    monkeypatch.setattr(containers, "MOST_OBJECTS", 50)
    chain = [Leaf()]
    for _ in range(200):
        chain = [chain]
    assert depths(chain, Leaf) == {}
