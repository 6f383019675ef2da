from __future__ import annotations

import asyncio
import threading

import pytest

from memroll_probe.asgi import Probe
from tests.unit.probe.driving import PATH, ask, http_scope, until, watch_with


async def hello(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-app", b"1")]})
    await send({"type": "http.response.body", "body": b"hello"})


class Gate:
    """An application that answers when the test opens it, in two parts."""

    def __init__(self):
        self.first, self.last = asyncio.Event(), asyncio.Event()

    async def __call__(self, scope, receive, send):
        await self.first.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        await self.last.wait()
        await send({"type": "http.response.body", "body": b"b"})


def test_switched_off_it_is_the_application_itself(monkeypatch):
    monkeypatch.delenv("MEMROLL_PROBE", raising=False)
    assert Probe(hello) is hello


async def test_the_application_s_answer_goes_through_unchanged():
    answer = await ask(Probe(hello, watch_with()), "/")
    assert (answer.status, answer.headers, answer.body) == (200, {"x-app": "1"}, b"hello")


async def test_a_thousand_requests_at_once_are_counted_and_none_is_left():
    watch, gate = watch_with(), Gate()
    app = Probe(gate, watch)
    requests = [asyncio.ensure_future(ask(app, "/")) for _ in range(1000)]
    await until(lambda: watch.traffic.in_flight == 1000)
    gate.first.set()
    gate.last.set()
    await asyncio.gather(*requests)
    assert (watch.traffic.total, watch.traffic.in_flight) == (1000, 0)


def test_event_loops_in_many_threads_lose_no_count():
    watch = watch_with()
    app = Probe(hello, watch)

    async def many():
        for _ in range(500):
            await ask(app, "/")

    threads = [threading.Thread(target=asyncio.run, args=(many(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (watch.traffic.total, watch.traffic.in_flight) == (2000, 0)


async def test_a_streaming_response_is_in_flight_until_its_last_part():
    watch, gate = watch_with(), Gate()
    gate.first.set()
    request = asyncio.ensure_future(ask(Probe(gate, watch), "/"))
    for _ in range(5):
        await asyncio.sleep(0)
    assert watch.traffic.in_flight == 1
    gate.last.set()
    assert (await request).body == b"ab"
    assert watch.traffic.in_flight == 0


async def test_an_exception_of_the_application_passes_unchanged_and_ends_the_request():
    error = LookupError("the application's own")

    async def broken(scope, receive, send):
        raise error

    watch = watch_with()
    with pytest.raises(LookupError) as raised:
        await ask(Probe(broken, watch), "/")
    assert raised.value is error
    assert watch.traffic.in_flight == 0


async def test_a_cancelled_request_is_no_longer_in_flight():
    watch = watch_with()
    request = asyncio.ensure_future(ask(Probe(Gate(), watch), "/"))
    await until(lambda: watch.traffic.in_flight == 1)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert watch.traffic.in_flight == 0


async def test_websockets_are_counted_apart_from_requests():
    watch, seen = watch_with(), []

    async def app(scope, receive, send):
        seen.append((scope["type"], watch.traffic.websockets, watch.traffic.in_flight))

    await Probe(app, watch)({"type": "websocket", "path": PATH}, None, None)
    assert seen == [("websocket", 1, 0)]
    assert watch.traffic.websockets == 0


async def test_lifespan_passes_through_and_is_not_yet_the_warm_up():
    seen = []

    async def app(scope, receive, send):
        seen.append((scope["type"], receive, send))

    watch = watch_with(warmup_s=30.0)
    await Probe(app, watch)({"type": "lifespan"}, "receive", "send")
    assert seen == [("lifespan", "receive", "send")]
    assert not watch.looker.waiting, "the warm-up begins with the first request"
    await ask(Probe(hello, watch), "/")
    assert watch.looker.waiting


async def test_two_probes_around_each_other_count_once():
    watch = watch_with()
    await ask(Probe(Probe(hello, watch), watch), "/")
    assert watch.traffic.total == 1


async def test_the_probe_s_own_requests_are_not_in_flight():
    watch = watch_with()
    report = (await ask(Probe(hello, watch))).json
    assert report["requests"] == {"total": 0, "inFlight": 0}


@pytest.mark.parametrize(
    ("path", "mine"),
    [
        pytest.param(PATH, True, id="the report"),
        pytest.param(f"{PATH}/", True, id="with a slash at the end"),
        pytest.param(f"{PATH}/metrics", True, id="the gauges"),
        pytest.param(f"{PATH}/other", False, id="what is below but not the probe's"),
        pytest.param(f"{PATH}x", False, id="what only begins alike"),
        pytest.param("/", False, id="anything else"),
    ],
)
async def test_only_its_own_paths_are_answered_by_the_probe(path, mine):
    answer = await ask(Probe(hello, watch_with()), path)
    assert ("x-app" not in answer.headers) == mine


async def test_routes_can_still_be_added_to_what_was_wrapped():
    class Framework:
        def __init__(self):
            self.routes = []

        def get(self, path):
            return self.routes.append

        async def __call__(self, scope, receive, send):
            await self.routes[0](scope, receive, send)

    app = Probe(Framework(), watch_with())
    app.get("/")(hello)
    assert (await ask(app, "/")).body == b"hello"
    assert not hasattr(app, "no_such_thing")


async def test_below_a_mount_the_path_counts_from_there():
    scope = {**http_scope(f"/service{PATH}/metrics"), "root_path": "/service"}
    sent = []

    async def send(message):
        sent.append(message)

    await Probe(hello, watch_with())(scope, None, send)
    assert b"memroll_probe_requests_in_flight" in sent[1]["body"]


async def test_with_a_port_of_its_own_the_service_s_port_tells_nothing():
    answer = await ask(Probe(hello, watch_with(port=1)), PATH)
    assert answer.body == b"hello"


async def test_the_service_answers_while_a_report_is_made():
    watch, under_way, go_on = watch_with(), threading.Event(), threading.Event()

    def slow():
        under_way.set()
        assert go_on.wait(10)
        return {}

    watch.describe_tracing = slow
    app = Probe(hello, watch)
    report = asyncio.ensure_future(ask(app))
    await until(under_way.is_set)
    assert (await ask(app, "/")).body == b"hello"
    go_on.set()
    assert (await report).json["schema"] == "memroll-probe/1"


async def test_tasks_of_the_event_loop_are_counted():
    app = Probe(hello, watch_with())
    before = (await ask(app)).json["process"]["asyncioTasks"]
    sleepers = [asyncio.ensure_future(asyncio.sleep(60)) for _ in range(7)]
    other = Probe(hello, watch_with())
    assert (await ask(other)).json["process"]["asyncioTasks"] == before + 7
    for sleeper in sleepers:
        sleeper.cancel()
