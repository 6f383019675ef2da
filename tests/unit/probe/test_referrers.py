from __future__ import annotations

import gc
import sys
import time
import types

import pytest

from memroll_probe import collected, referrers, stored

WHERE = __name__


def hints(kind, within_s=5.0):
    return referrers.Trail(time.monotonic() + within_s).hints(stored.objects_of(kind))


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
    ("kind", "hint"),
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
def test_what_holds_a_type_is_named(kind, hint):
    assert hint[:199] in [h[:199] for h in hints(kind)]
    assert hint[:199] in [h[:199] for h in hints(kind)], "asking changed the answer"


def test_an_attribute_is_named_also_when_the_object_s_dict_was_made():
    for session in SESSIONS.values():
        assert vars(session)
    assert any("attribute 'history'" in hint for hint in hints(InAttribute))


def test_what_a_coroutine_holds_is_told_by_its_name():
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
    found = hints(Waiting)
    coroutine.close()
    assert any("coroutine" in h and "handler" in h for h in found)


def test_no_time_means_no_hints():
    assert hints(InDict, within_s=-1.0) == []


def test_what_took_all_of_the_time_to_be_found_is_told_and_no_more_is_looked_for(monkeypatch):
    """In a process of millions of objects one step up may take longer than all of it was given."""
    find, now_s = collected.referrers, [0.0]

    def slow(targets):
        now_s[0] += 2.0
        return find(targets)

    monkeypatch.setattr(collected, "referrers", slow)
    monkeypatch.setattr(referrers, "time", types.SimpleNamespace(monotonic=lambda: now_s[0]))
    assert referrers.Trail(1.0).hints(stored.objects_of(InAttribute)) == ["list"]
    assert now_s == [2.0]


def test_a_type_without_objects_has_no_hints():
    class Nothing:
        pass

    assert stored.objects_of(Nothing) == []
    assert hints(Nothing) == []


class Trap:
    """Nothing of it may run."""

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
        found = hints(Held)
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
        assert "memroll_test_lazy" in stored.names_of_modules().values()
    finally:
        del sys.modules["memroll_test_lazy"]


def test_looking_keeps_nothing_alive():
    class Brief:
        pass

    kept = [Brief() for _ in range(5)]
    hints(Brief)
    kept.clear()
    gc.collect()
    assert stored.objects_of(Brief) == []
