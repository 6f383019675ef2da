from __future__ import annotations

import gc
from collections import OrderedDict, defaultdict, deque

import pytest

from memroll_probe import containers
from memroll_probe.containers import MIN_ITEMS, ContainerCounts, DepthSearch, find_alive, lengths, newest_items
from memroll_probe.counter import MIN_RISES


class Leaf:
    pass


class Holder:
    def __init__(self, **names):
        vars(self).update(names)


def make_container(kind):
    numbered = [(number, Leaf()) for number in range(MIN_ITEMS)]
    made = kind(int) if kind is defaultdict else kind()
    if kind in containers.MAPPINGS:
        made.update(numbered)
    elif kind is set:
        made.update(leaf for _, leaf in numbered)
    else:
        made.extend(leaf for _, leaf in numbered)
    return made


@pytest.mark.parametrize("kind", [dict, defaultdict, OrderedDict, list, deque, set], ids=lambda k: k.__name__)
def test_a_container_is_measured_and_found_again_with_its_newest_items(kind):
    made = make_container(kind)
    assert lengths()[id(made)] == MIN_ITEMS
    assert find_alive([id(made)])[id(made)] is made
    assert Leaf in {type(item) for item in newest_items(made)}


def test_small_containers_and_subclasses_are_ignored():
    class Own(dict):
        def __len__(self):
            raise AssertionError("code of the service")

    small, own = [Leaf()], Own({number: Leaf() for number in range(MIN_ITEMS)})
    found = lengths()
    assert id(small) not in found
    assert id(own) not in found


def test_a_container_that_grows_at_each_collection_is_rising_and_one_that_grew_once_is_not():
    counts = ContainerCounts()
    for step in range(MIN_RISES + 1):
        counts.add({1: 100 + 30 * step, 2: 100 + 50 * step, 3: 900 if step else 100})
    assert counts.rising(10) == {2: 50 * MIN_RISES, 1: 30 * MIN_RISES}
    assert list(counts.rising(1)) == [2]


def test_a_container_that_is_gone_is_forgotten():
    counts = ContainerCounts()
    for step in range(MIN_RISES + 1):
        counts.add({1: 100 + 30 * step})
    counts.add({})
    assert counts.rising(10) == {}


def depths(container, *kinds, stops=()):
    return DepthSearch(frozenset(map(id, stops))).find_depths(container, {id(kind): kind.__name__ for kind in kinds})


def test_types_are_found_at_any_depth_below_a_container():
    graph = Holder()
    vertex = Holder(graph=graph, inputs=[Leaf()])
    graph.vertices = [vertex]
    observers = {"run": [vertex.__init__]}
    found = depths(observers, Holder, Leaf)
    assert set(found) == {"Holder", "Leaf"}
    assert found["Holder"] < found["Leaf"]


def test_objects_below_another_growing_container_are_not_attributed_to_this_one():
    inner = [Leaf()]
    assert depths([inner], Leaf) != {}
    assert depths([inner], Leaf, stops=[inner]) == {}


def test_the_search_does_not_pass_through_modules_classes_and_functions():
    def closure(leaf=Leaf()):  # noqa: B008 - something that only the function holds
        return leaf

    class Kind:
        leaf = Leaf()

    assert depths([gc, closure, Kind], Leaf) == {}


def test_a_search_stops_after_the_maximum_number_of_objects(monkeypatch):
    monkeypatch.setattr(containers, "MAX_OBJECTS", 50)
    chain = [Leaf()]
    for _ in range(200):
        chain = [chain]
    assert depths(chain, Leaf) == {}
