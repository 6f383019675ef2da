"""The event recorder counts repeats, limits rates, and raises no errors."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memroll.clients.kube import event_recorder as module
from memroll.clients.kube.event_recorder import EventRecorder, event_name, truncate_message
from memroll.reporting.events import MAX_MESSAGE_BYTES, Event, EventReason, EventType, Regarding
from tests.contract.cluster.fake_api import FakeApi, Fault

if TYPE_CHECKING:
    from memroll.clients.kube.api_client import KubeApi

VALID_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
"""Name of an object, as the API server requires it."""
EVENTS = "/api/v1/namespaces/ai/events"
CHAT = Regarding("v1", "Pod", "ai", "chat-0", "u1")


def blocked_event(message: str = "not due", regarding: Regarding = CHAT, subject: str = "") -> Event:
    return Event(regarding, EventType.NORMAL, EventReason.ROLL_BLOCKED, message, subject)


class Clock:
    """Wall clock and monotonic clock, advanced by the test."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds - 1000)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def recorder(api: KubeApi, clock: Clock) -> EventRecorder:
    return EventRecorder(api, "memroll-0", clock.now, clock.monotonic, pause_s=0.0)


def stored(server: FakeApi) -> list[dict[str, Any]]:
    return [obj for (_, plural, _, _), obj in server.objects.items() if plural == "events"]


async def test_an_event_has_all_fields_that_kubectl_shows(server: FakeApi, recorder: EventRecorder) -> None:
    recorder.publish([blocked_event("the cooldown lasts until 12:00")])
    await recorder.drain(5)
    (event,) = stored(server)
    metadata = event.pop("metadata")
    assert (metadata["name"], metadata["namespace"]) == (event_name(blocked_event()), "ai")
    assert event == {
        "apiVersion": "v1",
        "kind": "Event",
        "involvedObject": {"apiVersion": "v1", "kind": "Pod", "namespace": "ai", "name": "chat-0", "uid": "u1"},
        "type": "Normal",
        "reason": "RollBlocked",
        "message": "the cooldown lasts until 12:00",
        "count": 1,
        "firstTimestamp": "2026-01-01T00:00:00Z",
        "lastTimestamp": "2026-01-01T00:00:00Z",
        "source": {"component": "memroll"},
        "reportingComponent": "memroll.dev/operator",
        "reportingInstance": "memroll-0",
    }


async def test_a_repeated_event_increments_the_count_and_updates_the_message(
    server: FakeApi, recorder: EventRecorder, clock: Clock
) -> None:
    recorder.publish([blocked_event("first")])
    await recorder.drain(5)
    clock.seconds += 61
    recorder.publish([blocked_event("second")])
    await recorder.drain(5)
    (event,) = stored(server)
    assert (event["count"], event["message"]) == (2, "second")
    assert (event["firstTimestamp"], event["lastTimestamp"]) == ("2026-01-01T00:00:00Z", "2026-01-01T00:01:01Z")


async def test_repeats_within_a_minute_are_counted_with_the_next_write(
    server: FakeApi, recorder: EventRecorder, clock: Clock
) -> None:
    for _ in range(10):
        recorder.publish([blocked_event()])
        await recorder.drain(5)
        clock.seconds += 5
    assert len(server.requests) == 1
    clock.seconds += 60
    recorder.publish([blocked_event("another reason")])
    await recorder.drain(5)
    assert (stored(server)[0]["count"], len(server.requests)) == (11, 2)


async def test_an_event_with_other_numbers_only_is_written_each_half_hour(
    server: FakeApi, recorder: EventRecorder, clock: Clock
) -> None:
    """A leak is reported at each reconcile, and its Event would be written each time."""
    for minute in range(61):
        recorder.publish([blocked_event(f"the limit is reached in {90 - minute}m")])
        await recorder.drain(5)
        clock.seconds += 60
    assert (stored(server)[0]["count"], len(server.requests)) == (61, 3)
    recorder.publish([blocked_event("the cooldown lasts until 12:00")])
    await recorder.drain(5)
    assert stored(server)[0]["message"] == "the cooldown lasts until 12:00"


async def test_another_reason_or_subject_is_another_event(server: FakeApi, recorder: EventRecorder) -> None:
    rolled = Event(CHAT, EventType.NORMAL, EventReason.POD_ROLLED, "done")
    recorder.publish([blocked_event(), rolled, blocked_event(subject="other container")])
    await recorder.drain(5)
    assert len(stored(server)) == 3


async def test_a_second_process_increments_the_same_event(
    server: FakeApi, api: KubeApi, recorder: EventRecorder, clock: Clock
) -> None:
    recorder.publish([blocked_event()])
    await recorder.drain(5)
    restarted = EventRecorder(api, "memroll-1", clock.now, clock.monotonic)
    restarted.publish([blocked_event("after the restart")])
    await restarted.drain(5)
    (event,) = stored(server)
    assert (event["count"], event["message"]) == (2, "after the restart")


async def test_an_event_that_has_expired_is_created_again(
    server: FakeApi, recorder: EventRecorder, clock: Clock
) -> None:
    recorder.publish([blocked_event()])
    await recorder.drain(5)
    server.remove(f"{EVENTS}/{event_name(blocked_event())}")
    clock.seconds += 3600
    recorder.publish([blocked_event()])
    await recorder.drain(5)
    (event,) = stored(server)
    assert (event["count"], event["firstTimestamp"]) == (1, "2026-01-01T01:00:00Z")


async def test_an_event_on_a_cluster_scoped_object_goes_to_the_default_namespace(
    server: FakeApi, recorder: EventRecorder
) -> None:
    recorder.publish([blocked_event(regarding=Regarding("v1", "Namespace", "", "ai", "n"))])
    await recorder.drain(5)
    assert stored(server)[0]["metadata"]["namespace"] == "default"


async def test_the_rate_limit_applies_to_each_object(server: FakeApi, recorder: EventRecorder, clock: Clock) -> None:
    noise = [blocked_event(subject=str(i)) for i in range(100)]
    recorder.publish([*noise, blocked_event(regarding=Regarding("v1", "Pod", "ai", "other", "u2"))])
    await recorder.drain(5)
    assert len(stored(server)) == 25 + 1
    clock.seconds += 20
    recorder.publish([blocked_event(subject=f"later {i}") for i in range(100)])
    await recorder.drain(5)
    assert len(stored(server)) == 25 + 1 + 2


@pytest.mark.parametrize("kind", ["reset", "500", "429"])
async def test_a_temporary_error_is_retried(server: FakeApi, recorder: EventRecorder, kind: str) -> None:
    server.faults.append(Fault(kind, method="POST", times=2))
    recorder.publish([blocked_event()])
    await recorder.drain(5)
    assert (len(stored(server)), recorder.failed) == (1, 0)


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault("503", times=99), id="the server stays down"),
        pytest.param(Fault("403", message="can't create events"), id="a missing permission"),
        pytest.param(Fault("422"), id="the event is invalid"),
    ],
)
async def test_a_failure_is_counted_and_does_not_stop_the_worker(
    server: FakeApi, recorder: EventRecorder, fault: Fault
) -> None:
    server.faults.append(fault)
    worker = asyncio.create_task(recorder.run())
    recorder.publish([blocked_event()])
    await recorder.drain(5)
    assert (recorder.failed, stored(server)) == (1, [])
    server.faults.clear()
    recorder.publish([blocked_event()])
    await recorder.drain(5)
    assert len(stored(server)) == 1
    assert not worker.done()
    worker.cancel()


async def test_a_bug_does_not_stop_the_worker(server: FakeApi, recorder: EventRecorder) -> None:
    def broken() -> datetime:
        raise ZeroDivisionError

    working, recorder._now = recorder._now, broken
    recorder.publish([blocked_event()])
    await recorder.drain(5)
    assert recorder.failed == 1
    recorder._now = working
    recorder.publish([blocked_event()])
    await recorder.drain(5)
    assert len(stored(server)) == 1


async def test_a_full_queue_keeps_the_oldest_and_counts_what_it_drops(recorder: EventRecorder) -> None:
    recorder.publish([blocked_event(regarding=Regarding("v1", "Pod", "ai", f"p{i}", f"u{i}")) for i in range(1100)])
    assert (len(recorder._queue), recorder.dropped) == (1000, 100)
    assert (await recorder._queue.get()).regarding.name == "p0"


def announced(i: int) -> Event:
    """Return an Event on the policy of a roll, of one roll of many."""
    policy = Regarding("memroll.dev/v1alpha1", "MemoryPolicy", "victim", "chat", "p")
    return Event(policy, EventType.NORMAL, EventReason.ROLL_ANNOUNCED, "rolling", f"roll-{i}")


async def test_no_event_of_a_roll_is_dropped_for_a_flood_of_others(server: FakeApi, recorder: EventRecorder) -> None:
    flood = [blocked_event(regarding=Regarding("v1", "Pod", "ai", f"p{i}", f"u{i}")) for i in range(5000)]
    recorder.publish([*flood[:4000], *(announced(i) for i in range(40)), *flood[4000:]])
    assert recorder.dropped == 4040
    await recorder.drain(30)
    written = [e["involvedObject"]["kind"] for e in stored(server)]
    assert written.count("MemoryPolicy") == 40, "also more of one object than the rate limit allows others"
    assert set(written[:40]) == {"MemoryPolicy"}, "they are written first"


async def test_a_dropped_event_is_queued_again_when_it_repeats(recorder: EventRecorder) -> None:
    events = [blocked_event(regarding=Regarding("v1", "Pod", "ai", f"p{i}", f"u{i}")) for i in range(1001)]
    recorder.publish(events)
    assert (await recorder._queue.get()).regarding.name == "p0"
    recorder.publish(events[-1:])
    assert len(recorder._queue) == 1000


async def test_draining_ends_at_its_timeout(server: FakeApi, recorder: EventRecorder) -> None:
    server.faults.append(Fault("hang", times=9))
    recorder.publish([blocked_event()])
    async with asyncio.timeout(4):
        await recorder.drain(0.1)
    assert stored(server) == [], "the request still hangs"


async def test_memory_is_bounded(recorder: EventRecorder) -> None:
    recorder.publish([blocked_event(regarding=Regarding("v1", "Pod", "ai", f"p{i}", f"u{i}")) for i in range(6000)])
    assert len(recorder._states) == len(recorder._buckets) == module.MAX_REMEMBERED


@given(st.text(max_size=3000))
def test_a_message_fits_the_api_server_s_limit(message: str) -> None:
    written = truncate_message(message)
    assert len(written.encode()) <= MAX_MESSAGE_BYTES
    assert len(message.encode(errors="replace")) > MAX_MESSAGE_BYTES or written.encode() == message.encode(
        errors="replace"
    )


def test_a_long_message_is_truncated_between_characters() -> None:
    assert truncate_message("é" * 1000) == "é" * 510 + "…"


def test_an_event_name_fits_the_api_server_s_limit() -> None:
    assert len(event_name(blocked_event(regarding=Regarding("v1", "Pod", "ai", "x" * 253, "u")))) <= 253


@pytest.mark.parametrize("position", [235, 240])
@pytest.mark.parametrize("separator", [".", "-"])
def test_the_event_name_of_an_object_with_a_long_name_is_valid(separator: str, position: int) -> None:
    """A name that is cut behind a dot or a hyphen would have an empty or an invalid part."""
    name = ("x" * position + separator).ljust(253, "x")
    made = event_name(blocked_event(regarding=Regarding("v1", "Pod", "ai", name, "u")))
    assert VALID_NAME.fullmatch(made)
