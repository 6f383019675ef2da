from __future__ import annotations

import gc
import threading

import pytest

from memroll_probe.wsgi import Probe
from tests.unit.probe.harness import PATH, ask_wsgi, state_with


def hello(environ, start_response):
    start_response("200 OK", [("X-App", "1")])
    return [b"hello"]


def refuse(status, headers):
    """Stand in for `start_response` where it is never called."""


def test_with_the_probe_off_it_is_the_application_itself(monkeypatch):
    monkeypatch.delenv("MEMROLL_PROBE", raising=False)
    assert Probe(hello) is hello


def test_the_application_s_answer_goes_through_unchanged():
    answer = ask_wsgi(Probe(hello, state_with()), "/")
    assert (answer.status, answer.headers, answer.body) == (200, {"X-App": "1"}, b"hello")


def test_a_body_with_a_length_keeps_it():
    assert len(Probe(hello, state_with())({}, lambda *_: None)) == 1


def test_a_generator_has_no_length():
    def app(environ, start_response):
        yield b"a"

    assert not hasattr(Probe(app, state_with())({}, refuse), "__len__")


def test_a_response_is_in_flight_until_the_server_closes_it():
    state, closed = state_with(), []

    class Body:
        def __iter__(self):
            return iter([b"a", b"b"])

        def close(self):
            closed.append(state.requests.in_flight)

    body = Probe(lambda *_: Body(), state)({}, refuse)
    assert list(body) == [b"a", b"b"]
    assert state.requests.in_flight == 1
    body.close()
    body.close()
    assert (state.requests.in_flight, closed) == (0, [1, 0])


def test_a_server_that_does_not_call_close_leaves_no_request_in_flight():
    state = state_with()
    body = Probe(hello, state)({}, lambda *_: None)
    assert state.requests.in_flight == 1
    del body
    gc.collect()
    assert state.requests.in_flight == 0


def test_a_response_may_be_garbage_collected_while_the_lock_is_held():
    state = state_with()
    body = Probe(hello, state)({}, lambda *_: None)
    with state.requests._lock:  # where a collection may begin
        del body
        gc.collect()
    assert state.requests.in_flight == 0


def test_an_exception_of_the_application_passes_unchanged_and_ends_the_request():
    error = LookupError("the application's own")

    def broken(environ, start_response):
        raise error

    state = state_with()
    with pytest.raises(LookupError) as raised:
        ask_wsgi(Probe(broken, state), "/")
    assert raised.value is error
    assert state.requests.in_flight == 0


def test_an_exception_within_the_body_ends_the_request():
    def app(environ, start_response):
        yield b"a"
        raise LookupError

    state = state_with()
    with pytest.raises(LookupError):
        ask_wsgi(Probe(app, state), "/")
    assert state.requests.in_flight == 0


def test_many_threads_lose_no_count():
    state = state_with()
    app = Probe(hello, state)

    def many():
        for _ in range(2000):
            ask_wsgi(app, "/")

    threads = [threading.Thread(target=many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (state.requests.total, state.requests.in_flight) == (8000, 0)


def test_the_report_is_answered_and_not_counted():
    report = ask_wsgi(Probe(hello, state_with())).json
    assert report["schema"] == "memroll-probe/1"
    assert report["requests"] == {"total": 0, "inFlight": 0}


def test_a_token_is_required():
    app = Probe(hello, state_with(token="secret"))
    assert ask_wsgi(app).status == 401
    assert ask_wsgi(app, HTTP_AUTHORIZATION="Bearer secret").status == 200


def test_two_probes_around_each_other_count_once():
    state = state_with()
    ask_wsgi(Probe(Probe(hello, state), state), "/")
    assert state.requests.total == 1


def test_with_a_port_of_its_own_the_probe_does_not_answer_on_the_service_s_port():
    assert ask_wsgi(Probe(hello, state_with(port=1)), PATH).body == b"hello"
