from __future__ import annotations

import threading

import pytest

from memroll_probe.turns import Turns


def test_the_same_work_is_done_once_for_all_who_ask_meanwhile():
    turns, go_on = Turns(), threading.Event()
    futures = {id(turns.take("key", lambda: go_on.wait(10))) for _ in range(10)}
    go_on.set()
    assert len(futures) == 1


def test_works_are_done_one_after_the_other():
    turns, at_once, most, lock = Turns(), [], [], threading.Lock()

    def work():
        with lock:
            at_once.append(1)
            most.append(len(at_once))
        threading.Event().wait(0.01)
        with lock:
            at_once.pop()

    for future in [turns.take(key, work) for key in range(5)]:
        future.result(10)
    assert most == [1] * 5


def test_an_error_goes_to_who_waits_and_the_next_begins_anew():
    turns = Turns()

    def fail():
        raise LookupError

    with pytest.raises(LookupError):
        turns.take("key", fail, rest=True).result(10)
    assert turns.take("key", lambda: "fine", rest=True).result(10) == "fine"


def test_one_who_gives_up_does_not_cancel_the_work():
    turns, go_on = Turns(), threading.Event()
    future = turns.take("key", lambda: go_on.wait(10))
    assert not future.cancel()
    go_on.set()
    assert future.result(10) is True
