from __future__ import annotations

import gc
import threading

import pytest

from memroll_probe.wsgi import Probe
from tests.unit.probe.driving import PATH, ask_wsgi, watch_with


def hello(environ, start_response):
    start_response("200 OK", [("X-App", "1")])
    return [b"hello"]


def refuse(status, headers):
    """Stand for a server whose `start_response` nobody calls."""


def test_switched_off_it_is_the_application_itself(monkeypatch):
    monkeypatch.delenv("MEMROLL_PROBE", raising=False)
    assert Probe(hello) is hello


def test_the_application_s_answer_goes_through_unchanged():
    answer = ask_wsgi(Probe(hello, watch_with()), "/")
    assert (answer.status, answer.headers, answer.body) == (200, {"X-App": "1"}, b"hello")


def test_a_body_of_one_block_still_tells_its_number_of_blocks():
    assert len(Probe(hello, watch_with())({}, lambda *_: None)) == 1


def test_a_generator_stays_one_without_a_length():
    def app(environ, start_response):
        yield b"a"

    assert not hasattr(Probe(app, watch_with())({}, refuse), "__len__")


def test_a_response_is_in_flight_until_the_server_closes_it():
    watch, closed = watch_with(), []

    class Body:
        def __iter__(self):
            return iter([b"a", b"b"])

        def close(self):
            closed.append(watch.traffic.in_flight)

    body = Probe(lambda *_: Body(), watch)({}, refuse)
    assert list(body) == [b"a", b"b"]
    assert watch.traffic.in_flight == 1
    body.close()
    body.close()
    assert (watch.traffic.in_flight, closed) == (0, [1, 0])


def test_a_server_that_forgets_to_close_does_not_leave_a_request_in_flight():
    watch = watch_with()
    body = Probe(hello, watch)({}, lambda *_: None)
    assert watch.traffic.in_flight == 1
    del body
    gc.collect()
    assert watch.traffic.in_flight == 0


def test_a_response_may_be_dropped_in_the_middle_of_counting_another():
    watch = watch_with()
    body = Probe(hello, watch)({}, lambda *_: None)
    with watch.traffic._lock:  # where a collection may begin
        del body
        gc.collect()
    assert watch.traffic.in_flight == 0


def test_an_exception_of_the_application_passes_unchanged_and_ends_the_request():
    error = LookupError("the application's own")

    def broken(environ, start_response):
        raise error

    watch = watch_with()
    with pytest.raises(LookupError) as raised:
        ask_wsgi(Probe(broken, watch), "/")
    assert raised.value is error
    assert watch.traffic.in_flight == 0


def test_an_exception_within_the_body_ends_the_request():
    def app(environ, start_response):
        yield b"a"
        raise LookupError

    watch = watch_with()
    with pytest.raises(LookupError):
        ask_wsgi(Probe(app, watch), "/")
    assert watch.traffic.in_flight == 0


def test_many_threads_lose_no_count():
    watch = watch_with()
    app = Probe(hello, watch)

    def many():
        for _ in range(2000):
            ask_wsgi(app, "/")

    threads = [threading.Thread(target=many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (watch.traffic.total, watch.traffic.in_flight) == (8000, 0)


def test_the_report_is_answered_and_not_counted():
    report = ask_wsgi(Probe(hello, watch_with())).json
    assert report["schema"] == "memroll-probe/1"
    assert report["requests"] == {"total": 0, "inFlight": 0}


def test_a_token_is_asked_for():
    app = Probe(hello, watch_with(token="secret"))
    assert ask_wsgi(app).status == 401
    assert ask_wsgi(app, HTTP_AUTHORIZATION="Bearer secret").status == 200


def test_two_probes_around_each_other_count_once():
    watch = watch_with()
    ask_wsgi(Probe(Probe(hello, watch), watch), "/")
    assert watch.traffic.total == 1


def test_with_a_port_of_its_own_the_service_s_port_tells_nothing():
    assert ask_wsgi(Probe(hello, watch_with(port=1)), PATH).body == b"hello"
