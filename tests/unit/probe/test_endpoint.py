from __future__ import annotations

import asyncio
import threading
import time

import pytest

from memroll_probe import report
from memroll_probe.asgi import Probe
from memroll_probe.census import Growing
from memroll_probe.endpoint import Endpoint
from memroll_probe.exchange import Request
from tests.unit.probe.driving import PATH, ask, watch_with
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
def test_without_the_token_nothing_is_told(authorization, status, route):
    endpoint = Endpoint(watch_with(token="secret"))
    assert endpoint.answer(Request("GET", PATH + route, authorization=authorization)).status == status


def test_a_stranger_does_not_start_the_tracing():
    watch = watch_with(token="secret")
    assert Endpoint(watch).answer(Request("POST", f"{PATH}/start")).status == 401
    assert watch.tracing.started_at is None


@pytest.mark.parametrize(("method", "route"), [("POST", ""), ("GET", "/start"), ("DELETE", "/metrics"), ("HEAD", "")])
def test_another_method_is_refused(method, route):
    answer = Endpoint(watch_with()).answer(Request(method, PATH + route))
    assert answer.status == 405
    assert dict(answer.headers)["allow"] in ("GET", "POST")


def test_tracing_is_started_and_stopped_by_request():
    watch = watch_with(settle_s=0.0)
    endpoint = Endpoint(watch)
    assert b'"state":"off"' in endpoint.answer(Request("GET", PATH)).body
    assert b'"state":"warming"' in endpoint.answer(Request("POST", f"{PATH}/start")).body
    assert b'"state":"tracing"' in endpoint.answer(Request("POST", f"{PATH}/baseline")).body
    assert b'"state":"off"' in endpoint.answer(Request("POST", f"{PATH}/stop")).body


def test_a_baseline_without_tracing_is_a_conflict_that_says_so():
    answer = Endpoint(watch_with()).answer(Request("POST", f"{PATH}/baseline"))
    assert (answer.status, answer.body) == (409, b'{"error": "tracing is off"}')


async def test_a_hundred_at_once_make_one_report():
    watch, made = watch_with(), []
    go_on = threading.Event()

    def once():
        made.append(threading.active_count())
        assert go_on.wait(10)
        return {}

    watch.describe_tracing = once
    app = Probe(hello, watch)
    asking = [asyncio.ensure_future(ask(app)) for _ in range(100)]
    before = threading.active_count()
    await asyncio.sleep(0.05)
    assert threading.active_count() <= before + 2, "one who waits holds a thread"
    go_on.set()
    answers = await asyncio.gather(*asking)
    assert len(made) == 1
    assert len({a.body for a in answers}) == 1


async def test_one_who_goes_away_does_not_stop_the_report_of_the_others():
    watch, go_on = watch_with(), threading.Event()
    watch.describe_tracing = lambda: {"waited": go_on.wait(10)}
    app = Probe(hello, watch)
    gone, stays = asyncio.ensure_future(ask(app)), asyncio.ensure_future(ask(app))
    await asyncio.sleep(0.02)
    gone.cancel()
    go_on.set()
    assert (await stays).json["errors"] == []


def test_a_report_that_takes_too_long_is_given_up_and_what_is_known_is_told():
    watch, go_on = watch_with(budget_s=0.1), threading.Event()
    watch.describe_tracing = lambda: go_on.wait(30)
    endpoint = Endpoint(watch)
    endpoint.patience_s = 0.2
    began = time.monotonic()
    answer = endpoint.answer(Request("GET", PATH))
    go_on.set()
    assert time.monotonic() - began < 5
    assert answer.status == 200
    assert b"report: TimeoutError" in answer.body


def test_parts_without_time_are_left_out_and_named():
    watch = watch_with(budget_s=0.1)
    watch.describe_tracing = lambda: time.sleep(0.15)
    made = report.full(watch, use_deep=False)
    assert "types: left out, no time was left" in made["errors"]
    assert "growth: left out, no time was left" in made["errors"]
    assert made["process"]["pid"] > 0


def test_only_a_type_without_a_holder_is_said_to_be_left_out(monkeypatch):
    def place_one(work, rising, _kinds):
        rising[0]["referrers"] = ["growing dict in module shop as 'ORDERS'"]
        work.until = 0.0

    monkeypatch.setattr(report, "_place", place_one)
    watch = watch_with()
    watch.census.growing = lambda _most: [Growing(f"shop.{name}", 9, 9, 5, rising=True) for name in ("Order", "Line")]
    errors = report.full(watch, use_deep=False)["errors"]
    assert errors == ["referrers of shop.Line: left out, no time was left"]


def test_a_part_that_fails_is_named_without_what_the_error_said():
    def broken():
        raise RuntimeError("somebody's password")

    watch = watch_with()
    watch.describe_tracing = broken
    made = report.full(watch, use_deep=False)
    assert made["errors"] == ["tracing: RuntimeError"]
    assert made["gc"]["enabled"] is True


def test_asking_without_a_pause_gets_the_same_report_again():
    watch, made = watch_with(), []

    def slow():
        made.append(time.sleep(0.05))
        return {}

    watch.describe_tracing = slow
    endpoint = Endpoint(watch)
    first = endpoint.answer(Request("GET", PATH))
    assert endpoint.answer(Request("GET", PATH)) is first
    assert len(made) == 1


def test_a_bad_setting_is_named_in_the_report():
    watch = watch_with(problems=("MEMROLL_PROBE_FRAMES is not a number",))
    assert report.full(watch, use_deep=False)["errors"] == ["MEMROLL_PROBE_FRAMES is not a number"]
