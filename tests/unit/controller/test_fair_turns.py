"""Order in which waiting keys get slots."""

from __future__ import annotations

from collections import Counter

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


def test_a_turn_may_have_several_keys():
    turns = FairTurns(1, 1, max_per_turn=3)
    for i in range(5):
        turns.add(Key("large", str(i)))
    turns.add(Key("a", "x"))
    turns.add(Key("a", "y"))
    assert order_of(turns) == ["large/0", "large/1", "large/2", "a/x", "a/y", "large/3", "large/4"]


def test_a_turn_goes_on_when_its_namespace_has_a_slot_again():
    turns = FairTurns(4, 2, max_per_turn=8)
    for namespace in ("a", "b", "c"):
        for i in range(3):
            turns.add(Key(namespace, str(i)))
    started = [turns.start_next() for _ in range(4)]
    assert started == [Key("a", "0"), Key("a", "1"), Key("b", "0"), Key("b", "1")]
    turns.finish(Key("a", "0"))
    assert turns.start_next() == Key("a", "2")
    turns.finish(Key("b", "1"))
    assert turns.start_next() == Key("b", "2")


def test_several_keys_in_a_turn_give_a_namespace_no_larger_share():
    """Its keys are due again at once, so that it always has some that wait."""
    turns = FairTurns(1, 1, max_per_turn=8)
    starts = Counter[str]()
    for key in (*(Key("large", str(i)) for i in range(50)), *(Key(f"small-{i}", "x") for i in range(9))):
        turns.add(key)
    for _ in range(1000):
        key = turns.start_next()
        assert key is not None
        starts[key.namespace] += 1
        turns.finish(key)
        turns.add(key)
    assert max(starts.values()) - min(starts.values()) <= 8


def test_a_namespace_whose_keys_all_start_in_one_turn_sits_out_as_well():
    """It can't have more by letting its keys wait only for a moment."""
    turns = FairTurns(1, 1, max_per_turn=8)
    starts = Counter[str]()
    for i in range(9):
        turns.add(Key(f"small-{i}", "x"))
    for _ in range(1000):
        if "large" not in turns._waiting:
            for i in range(8):
                turns.add(Key("large", str(i)))
        key = turns.start_next()
        assert key is not None
        starts[key.namespace] += 1
        turns.finish(key)
        if key.namespace != "large":
            turns.add(key)
    assert max(starts.values()) - min(starts.values()) <= 8


def test_keys_that_start_while_nobody_else_waits_cost_no_turn():
    turns = FairTurns(1, 1, max_per_turn=3)
    for i in range(6):
        turns.add(Key("large", str(i)))
    assert [turns.start_next()] == [Key("large", "0")]
    turns.finish(Key("large", "0"))
    turns.add(Key("a", "x"))
    turns.add(Key("a", "y"))
    assert order_of(turns) == [
        *("large/1", "large/2"),  # the rest of its turn: two that it sits out
        *("a/x", "a/y"),
        *("large/3", "large/4", "large/5"),
    ]


def test_nothing_is_kept_once_nobody_waits():
    turns = FairTurns(1, 1, max_per_turn=8)
    for i in range(100):
        for name in ("x", "y", "z"):
            turns.add(Key(f"gone-{i}", name))
    order_of(turns)
    assert (turns._owed, turns._left_in_turn) == (Counter(), {})


def test_a_namespace_that_sits_out_starts_one_key_at_a_time_while_nobody_else_waits():
    turns = FairTurns(1, 1, max_per_turn=3)
    for i in range(6):
        turns.add(Key("large", str(i)))
    turns.add(Key("a", "x"))
    for expected in (*(Key("large", str(i)) for i in range(3)), Key("a", "x"), Key("large", "3")):
        assert turns.start_next() == expected
        turns.finish(expected)
    turns.add(Key("b", "x"))
    assert turns.start_next() == Key("b", "x")
