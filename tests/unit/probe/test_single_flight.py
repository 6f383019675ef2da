from __future__ import annotations

import threading

import pytest

from memroll_probe.single_flight import SingleFlight


def test_concurrent_calls_with_one_key_share_one_result():
    flights, go_on = SingleFlight(), threading.Event()
    futures = {id(flights.run("key", lambda: go_on.wait(10))) for _ in range(10)}
    go_on.set()
    assert len(futures) == 1


def test_different_keys_run_one_after_the_other():
    flights, running, counts, lock = SingleFlight(), [], [], threading.Lock()

    def work():
        with lock:
            running.append(1)
            counts.append(len(running))
        threading.Event().wait(0.01)
        with lock:
            running.pop()

    for future in [flights.run(key, work) for key in range(5)]:
        future.result(10)
    assert counts == [1] * 5


def test_an_error_is_raised_in_the_caller_and_is_not_cached():
    flights = SingleFlight()

    def fail():
        raise LookupError

    with pytest.raises(LookupError):
        flights.run("key", fail, cache=True).result(10)
    assert flights.run("key", lambda: "fine", cache=True).result(10) == "fine"


def test_a_caller_that_stops_waiting_does_not_cancel_the_work():
    flights, go_on = SingleFlight(), threading.Event()
    future = flights.run("key", lambda: go_on.wait(10))
    assert not future.cancel()
    go_on.set()
    assert future.result(10) is True
