from __future__ import annotations

import gc
import sys
import time
import types

import pytest

from memroll_probe import gc_objects, object_slots, referrers

WHERE = __name__


def find_paths(kind, within_s=5.0):
    return referrers.ReferrerSearch(time.monotonic() + within_s).find_paths(object_slots.sample_objects(kind))


class InDict:
    pass


class InAttribute:
    pass


class InSlot:
    pass


class OnClass:
    pass


class InClosure:
    pass


class Direct:
    pass


class InWeird:
    pass


class Weird:
    pass


class Session:
    def __init__(self):
        self.history = [InAttribute() for _ in range(20)]


class Slotted:
    __slots__ = ("never_set", "run")

    def __init__(self):
        self.run = InSlot()


class Registry:
    entries = [OnClass() for _ in range(20)]  # noqa: RUF012 - a class that leaks


def remembering():
    kept = [InClosure() for _ in range(20)]
    return lambda: kept


CACHE = {f"user-{n}": InDict() for n in range(20)}
SESSIONS = {n: Session() for n in range(5)}
RUNS = [Slotted() for _ in range(20)]
REMEMBER = remembering()
CURRENT = Direct()
WEIRD = Weird()
WEIRD.__dict__["a person's name"] = InWeird()


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        pytest.param(InDict, f"dict in module {WHERE} as 'CACHE'", id="a dict of a module"),
        pytest.param(Direct, f"module {WHERE} as 'CURRENT'", id="a module's variable"),
        pytest.param(OnClass, f"list in attribute 'entries' of class {WHERE}.Registry", id="a class's attribute"),
        pytest.param(
            InAttribute,
            f"list in attribute 'history' of {WHERE}.Session in dict in module {WHERE} as 'SESSIONS'",
            id="an attribute of what a module holds",
        ),
        pytest.param(InSlot, f"attribute 'run' of {WHERE}.Slotted in list in module {WHERE} as 'RUNS'", id="a slot"),
        pytest.param(
            InClosure,
            f"list in cell in tuple in function {WHERE}.remembering.<locals>.<lambda> in module {WHERE} as 'REMEMBER'",
            id="a closure",
        ),
        pytest.param(InWeird, f"attribute a name of {WHERE}.Weird in module {WHERE} as 'WEIRD'", id="not a key"),
    ],
)
def test_the_holders_of_a_type_are_named(kind, path):
    assert path[:199] in [p[:199] for p in find_paths(kind)]
    assert path[:199] in [p[:199] for p in find_paths(kind)], "the search changed the result"


def test_an_attribute_is_named_also_when_the_object_has_a_dict():
    for session in SESSIONS.values():
        assert vars(session)
    assert any("attribute 'history'" in path for path in find_paths(InAttribute))


def test_an_object_held_by_a_coroutine_is_attributed_to_it():
    class Waiting:
        pass

    async def handler(waiting):
        await suspended()
        return waiting

    @types.coroutine
    def suspended():
        yield

    coroutine = handler(Waiting())
    coroutine.send(None)
    found = find_paths(Waiting)
    coroutine.close()
    assert any("coroutine" in h and "handler" in h for h in found)


def test_without_time_there_are_no_paths():
    assert find_paths(InDict, within_s=-1.0) == []


def test_referrers_that_took_all_of_the_time_to_find_are_still_read(monkeypatch):
    """In a process with millions of objects, one step up may take longer than the whole time limit."""
    find, now_s = gc_objects.find_referrers, [0.0]

    def slow(targets):
        now_s[0] += 2.0
        return find(targets)

    monkeypatch.setattr(gc_objects, "find_referrers", slow)
    monkeypatch.setattr(referrers, "time", types.SimpleNamespace(monotonic=lambda: now_s[0]))
    assert referrers.ReferrerSearch(1.0).find_paths(object_slots.sample_objects(InAttribute)) == ["list"]
    assert now_s == [2.0]


def test_a_type_without_objects_has_no_paths():
    class Nothing:
        pass

    assert object_slots.sample_objects(Nothing) == []
    assert find_paths(Nothing) == []


class Trap:
    """Class none of whose methods may run."""

    ran: list = []  # noqa: RUF012 - shared on purpose

    def __getattribute__(self, name):
        Trap.ran.append(name)
        raise RuntimeError(name)

    def __eq__(self, other):
        Trap.ran.append("==")
        raise RuntimeError

    __hash__ = object.__hash__


def test_no_code_of_the_objects_is_run():
    class Held:
        pass

    trap, module = Trap(), types.ModuleType("memroll_test_trap")
    object.__setattr__(trap, "held", Held())
    module.trap = trap
    sys.modules["memroll_test_trap"] = module
    Trap.ran.clear()
    try:
        found = find_paths(Held)
    finally:
        del sys.modules["memroll_test_trap"]
    assert Trap.ran == []
    assert any("attribute 'held' of" in h and "module memroll_test_trap as 'trap'" in h for h in found)


def test_a_lazy_module_is_not_loaded():
    class Lazy(types.ModuleType):
        def __getattribute__(self, name):
            raise RuntimeError(name)

    sys.modules["memroll_test_lazy"] = Lazy("memroll_test_lazy")
    try:
        assert "memroll_test_lazy" in object_slots.module_names_by_id().values()
    finally:
        del sys.modules["memroll_test_lazy"]


def test_a_search_keeps_nothing_alive():
    class Brief:
        pass

    kept = [Brief() for _ in range(5)]
    find_paths(Brief)
    kept.clear()
    gc.collect()
    assert object_slots.sample_objects(Brief) == []
