from __future__ import annotations

import asyncio
import threading
import time

import pytest

from memroll_probe import report
from memroll_probe.asgi import Probe
from memroll_probe.endpoint import Endpoint
from memroll_probe.messages import Request
from memroll_probe.object_counts import GrowingType
from tests.unit.probe.harness import PATH, ask, state_with
from tests.unit.probe.test_asgi import hello


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        pytest.param("", 401, id="none"),
        pytest.param("Bearer wrong", 401, id="another token"),
        pytest.param("Basic secret", 401, id="another scheme"),
        pytest.param("Bearer secretmore", 401, id="a longer one"),
        pytest.param("Bearer sécret", 401, id="one that is not ASCII"),
        pytest.param("Bearer secret", 200, id="the token"),
        pytest.param("bearer  secret ", 200, id="spelt loosely"),
    ],
)
@pytest.mark.parametrize("route", ["", "/metrics"])
def test_without_the_token_nothing_is_returned(authorization, status, route):
    endpoint = Endpoint(state_with(token="secret"))
    assert endpoint.respond(Request("GET", PATH + route, authorization=authorization)).status == status


def test_a_client_without_the_token_does_not_start_tracing():
    state = state_with(token="secret")
    assert Endpoint(state).respond(Request("POST", f"{PATH}/start")).status == 401
    assert state.tracer.started_at is None


@pytest.mark.parametrize(("method", "route"), [("POST", ""), ("GET", "/start"), ("DELETE", "/metrics"), ("HEAD", "")])
def test_another_method_is_refused(method, route):
    answer = Endpoint(state_with()).respond(Request(method, PATH + route))
    assert answer.status == 405
    assert dict(answer.headers)["allow"] in ("GET", "POST")


def test_tracing_is_started_and_stopped_by_request():
    state = state_with(settle_s=0.0)
    endpoint = Endpoint(state)
    assert b'"state":"off"' in endpoint.respond(Request("GET", PATH)).body
    assert b'"state":"warming"' in endpoint.respond(Request("POST", f"{PATH}/start")).body
    assert b'"state":"tracing"' in endpoint.respond(Request("POST", f"{PATH}/baseline")).body
    assert b'"state":"off"' in endpoint.respond(Request("POST", f"{PATH}/stop")).body


def test_a_baseline_without_tracing_is_a_conflict_with_the_reason():
    answer = Endpoint(state_with()).respond(Request("POST", f"{PATH}/baseline"))
    assert (answer.status, answer.body) == (409, b'{"error": "tracing is off"}')


async def test_a_hundred_concurrent_requests_build_one_report():
    state, made = state_with(), []
    go_on = threading.Event()

    def once():
        made.append(threading.active_count())
        assert go_on.wait(10)
        return {}

    state.describe_tracing = once
    app = Probe(hello, state)
    asking = [asyncio.ensure_future(ask(app)) for _ in range(100)]
    before = threading.active_count()
    await asyncio.sleep(0.05)
    assert threading.active_count() <= before + 2, "a waiting client holds a thread"
    go_on.set()
    answers = await asyncio.gather(*asking)
    assert len(made) == 1
    assert len({a.body for a in answers}) == 1


async def test_a_client_that_disconnects_does_not_cancel_the_report_of_the_others():
    state, go_on = state_with(), threading.Event()
    state.describe_tracing = lambda: {"waited": go_on.wait(10)}
    app = Probe(hello, state)
    gone, stays = asyncio.ensure_future(ask(app)), asyncio.ensure_future(ask(app))
    await asyncio.sleep(0.02)
    gone.cancel()
    go_on.set()
    assert (await stays).json["errors"] == []


def test_a_report_that_takes_too_long_is_replaced_by_its_header():
    state, go_on = state_with(budget_s=0.1), threading.Event()
    state.describe_tracing = lambda: go_on.wait(30)
    endpoint = Endpoint(state)
    endpoint.timeout_s = 0.2
    began = time.monotonic()
    answer = endpoint.respond(Request("GET", PATH))
    go_on.set()
    assert time.monotonic() - began < 5
    assert answer.status == 200
    assert b"report: TimeoutError" in answer.body


def test_parts_without_time_are_left_out_and_named():
    state = state_with(budget_s=0.1)
    state.describe_tracing = lambda: time.sleep(0.15)
    made = report.build_report(state, deep=False)
    assert "types: left out, no time was left" in made["errors"]
    assert "growth: left out, no time was left" in made["errors"]
    assert made["process"]["pid"] > 0


def test_only_a_type_without_referrers_is_named_as_left_out(monkeypatch):
    def add_to_first(builder, rising, _kinds):
        rising[0]["referrers"] = ["growing dict in module shop as 'ORDERS'"]
        builder.deadline = 0.0

    monkeypatch.setattr(report, "_add_containers", add_to_first)
    state = state_with()
    state.object_counts.growing_types = lambda _most: [
        GrowingType(f"shop.{name}", 9, 9, 5, rising=True) for name in ("Order", "Line")
    ]
    errors = report.build_report(state, deep=False)["errors"]
    assert errors == ["referrers of shop.Line: left out, no time was left"]


def test_a_part_that_fails_is_named_without_the_error_message():
    def broken():
        raise RuntimeError("somebody's password")

    state = state_with()
    state.describe_tracing = broken
    made = report.build_report(state, deep=False)
    assert made["errors"] == ["tracing: RuntimeError"]
    assert made["gc"]["enabled"] is True


def test_requests_without_a_pause_get_the_same_report():
    state, made = state_with(), []

    def slow():
        made.append(time.sleep(0.05))
        return {}

    state.describe_tracing = slow
    endpoint = Endpoint(state)
    first = endpoint.respond(Request("GET", PATH))
    assert endpoint.respond(Request("GET", PATH)) is first
    assert len(made) == 1


def test_a_bad_setting_is_named_in_the_report():
    state = state_with(errors=("MEMROLL_PROBE_FRAMES is not a number",))
    assert report.build_report(state, deep=False)["errors"] == ["MEMROLL_PROBE_FRAMES is not a number"]
