from __future__ import annotations

import asyncio
import threading

import pytest

from memroll_probe.asgi import Probe
from tests.unit.probe.harness import PATH, ask, http_scope, state_with, until


async def hello(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-app", b"1")]})
    await send({"type": "http.response.body", "body": b"hello"})


class HeldApp:
    """Application that sends its two parts when the test allows each."""

    def __init__(self):
        self.first, self.last = asyncio.Event(), asyncio.Event()

    async def __call__(self, scope, receive, send):
        await self.first.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        await self.last.wait()
        await send({"type": "http.response.body", "body": b"b"})


def test_with_the_probe_off_it_is_the_application_itself(monkeypatch):
    monkeypatch.delenv("MEMROLL_PROBE", raising=False)
    assert Probe(hello) is hello


async def test_the_application_s_answer_goes_through_unchanged():
    answer = await ask(Probe(hello, state_with()), "/")
    assert (answer.status, answer.headers, answer.body) == (200, {"x-app": "1"}, b"hello")


async def test_a_thousand_requests_at_once_are_counted_and_none_is_left():
    state, gate = state_with(), HeldApp()
    app = Probe(gate, state)
    requests = [asyncio.ensure_future(ask(app, "/")) for _ in range(1000)]
    await until(lambda: state.requests.in_flight == 1000)
    gate.first.set()
    gate.last.set()
    await asyncio.gather(*requests)
    assert (state.requests.total, state.requests.in_flight) == (1000, 0)


def test_event_loops_in_many_threads_lose_no_count():
    state = state_with()
    app = Probe(hello, state)

    async def many():
        for _ in range(500):
            await ask(app, "/")

    threads = [threading.Thread(target=asyncio.run, args=(many(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (state.requests.total, state.requests.in_flight) == (2000, 0)


async def test_a_streaming_response_is_in_flight_until_its_last_part():
    state, gate = state_with(), HeldApp()
    gate.first.set()
    request = asyncio.ensure_future(ask(Probe(gate, state), "/"))
    for _ in range(5):
        await asyncio.sleep(0)
    assert state.requests.in_flight == 1
    gate.last.set()
    assert (await request).body == b"ab"
    assert state.requests.in_flight == 0


async def test_an_exception_of_the_application_passes_unchanged_and_ends_the_request():
    error = LookupError("the application's own")

    async def broken(scope, receive, send):
        raise error

    state = state_with()
    with pytest.raises(LookupError) as raised:
        await ask(Probe(broken, state), "/")
    assert raised.value is error
    assert state.requests.in_flight == 0


async def test_a_cancelled_request_is_no_longer_in_flight():
    state = state_with()
    request = asyncio.ensure_future(ask(Probe(HeldApp(), state), "/"))
    await until(lambda: state.requests.in_flight == 1)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert state.requests.in_flight == 0


async def test_websockets_are_counted_separately_from_requests():
    state, seen = state_with(), []

    async def app(scope, receive, send):
        seen.append((scope["type"], state.requests.websockets, state.requests.in_flight))

    await Probe(app, state)({"type": "websocket", "path": PATH}, None, None)
    assert seen == [("websocket", 1, 0)]
    assert state.requests.websockets == 0


async def test_lifespan_passes_through_and_does_not_start_the_warm_up():
    seen = []

    async def app(scope, receive, send):
        seen.append((scope["type"], receive, send))

    state = state_with(warmup_s=30.0)
    await Probe(app, state)({"type": "lifespan"}, "receive", "send")
    assert seen == [("lifespan", "receive", "send")]
    assert not state.sampler.start_pending, "the warm-up begins with the first request"
    await ask(Probe(hello, state), "/")
    assert state.sampler.start_pending


async def test_two_probes_around_each_other_count_once():
    state = state_with()
    await ask(Probe(Probe(hello, state), state), "/")
    assert state.requests.total == 1


async def test_the_probe_s_own_requests_are_not_in_flight():
    state = state_with()
    report = (await ask(Probe(hello, state))).json
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
    answer = await ask(Probe(hello, state_with()), path)
    assert ("x-app" not in answer.headers) == mine


async def test_routes_can_still_be_added_to_a_wrapped_application():
    class Framework:
        def __init__(self):
            self.routes = []

        def get(self, path):
            return self.routes.append

        async def __call__(self, scope, receive, send):
            await self.routes[0](scope, receive, send)

    app = Probe(Framework(), state_with())
    app.get("/")(hello)
    assert (await ask(app, "/")).body == b"hello"
    assert not hasattr(app, "no_such_thing")


async def test_the_path_is_relative_to_the_mount_point():
    scope = {**http_scope(f"/service{PATH}/metrics"), "root_path": "/service"}
    sent = []

    async def send(message):
        sent.append(message)

    await Probe(hello, state_with())(scope, None, send)
    assert b"memroll_probe_requests_in_flight" in sent[1]["body"]


async def test_with_a_port_of_its_own_the_probe_does_not_answer_on_the_service_s_port():
    answer = await ask(Probe(hello, state_with(port=1)), PATH)
    assert answer.body == b"hello"


async def test_the_service_answers_while_a_report_is_built():
    state, under_way, go_on = state_with(), threading.Event(), threading.Event()

    def slow():
        under_way.set()
        assert go_on.wait(10)
        return {}

    state.describe_tracing = slow
    app = Probe(hello, state)
    report = asyncio.ensure_future(ask(app))
    await until(under_way.is_set)
    assert (await ask(app, "/")).body == b"hello"
    go_on.set()
    assert (await report).json["schema"] == "memroll-probe/1"


async def test_tasks_of_the_event_loop_are_counted():
    app = Probe(hello, state_with())
    before = (await ask(app)).json["process"]["asyncioTasks"]
    sleepers = [asyncio.ensure_future(asyncio.sleep(60)) for _ in range(7)]
    other = Probe(hello, state_with())
    assert (await ask(other)).json["process"]["asyncioTasks"] == before + 7
    for sleeper in sleepers:
        sleeper.cancel()
