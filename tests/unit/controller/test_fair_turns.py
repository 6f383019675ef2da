"""Order in which waiting keys get slots."""

from __future__ import annotations

from memroll.controller.fair_turns import FairTurns
from memroll.controller.key import Key


def order_of(turns: FairTurns) -> list[str]:
    """Return all waiting keys as text, in the order in which they start, one after the other."""
    started = []
    while (key := turns.start_next()) is not None:
        started.append(f"{key.namespace}/{key.name}")
        turns.finish(key)
    return started


def test_namespaces_are_served_in_turn_whatever_their_number_of_keys():
    turns = FairTurns(4, 2)
    for key in (*(Key("large", str(i)) for i in range(4)), Key("a", "x"), Key("b", "x"), Key("a", "y")):
        turns.add(key)
    assert order_of(turns) == ["large/0", "a/x", "b/x", "large/1", "a/y", "large/2", "large/3"]


def test_a_key_that_waits_already_is_not_added_twice():
    turns = FairTurns(4, 2)
    for _ in range(50):
        turns.add(Key("edited", "x"))
    turns.add(Key("edited", "x"), first=True)
    turns.add(Key("edited", "x"))
    assert order_of(turns) == ["edited/x"]


def test_a_namespace_leaves_half_of_the_slots_to_the_others():
    turns = FairTurns(4, 2)
    for i in range(10):
        turns.add(Key("slow", str(i)))
    assert [turns.start_next() for _ in range(3)] == [Key("slow", "0"), Key("slow", "1"), None]
    turns.add(Key("other", "x"))
    assert turns.start_next() == Key("other", "x")
    turns.finish(Key("slow", "0"))
    assert turns.start_next() == Key("slow", "2")


def test_one_of_four_starts_is_one_of_those_that_wait_in_turn():
    turns = FairTurns(1, 1)
    for i in range(7):
        turns.add(Key("edited", str(i)), first=True)
    for i in range(3):
        turns.add(Key(f"team-{i}", "x"))
    edited = [f"edited/{i}" for i in range(7)]
    assert order_of(turns) == [*edited[:3], "team-0/x", *edited[3:6], "team-1/x", edited[6], "team-2/x"]


def test_a_namespace_without_a_free_slot_does_not_block_those_behind_it():
    turns = FairTurns(4, 1)
    turns.add(Key("slow", "0"), first=True)
    assert turns.start_next() == Key("slow", "0")
    turns.add(Key("slow", "1"), first=True)
    turns.add(Key("other", "x"), first=True)
    assert turns.start_next() == Key("other", "x")
    assert turns.start_next() is None
