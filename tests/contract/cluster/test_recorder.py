"""Events are counted, not multiplied; and no failure of theirs reaches anyone."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memroll.clients.kube import event_recorder as module
from memroll.clients.kube.event_recorder import Recorder, cut, name_of
from memroll.reporting.events import MESSAGE_BYTES_MAX, Event, EventType, Reason, Regarding
from tests.contract.cluster.fake_api import FakeApi, Fault

if TYPE_CHECKING:
    from memroll.clients.kube.api_client import Api

EVENTS = "/api/v1/namespaces/ai/events"
CHAT = Regarding("v1", "Pod", "ai", "chat-0", "u1")


def held(message: str = "not due", regarding: Regarding = CHAT, subject: str = "") -> Event:
    return Event(regarding, EventType.NORMAL, Reason.ROLL_HELD, message, subject)


class Clock:
    """Both clocks, moved by hand."""

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
def recorder(api: Api, clock: Clock) -> Recorder:
    return Recorder(api, "memroll-0", clock.now, clock.monotonic, pause_s=0.0)


def stored(server: FakeApi) -> list[dict[str, Any]]:
    return [obj for (_, plural, _, _), obj in server.objects.items() if plural == "events"]


async def test_an_event_looks_as_kubectl_expects_it(server: FakeApi, recorder: Recorder) -> None:
    recorder.publish([held("the cooldown lasts until 12:00")])
    await recorder.drain(5)
    (event,) = stored(server)
    metadata = event.pop("metadata")
    assert (metadata["name"], metadata["namespace"]) == (name_of(held()), "ai")
    assert event == {
        "apiVersion": "v1",
        "kind": "Event",
        "involvedObject": {"apiVersion": "v1", "kind": "Pod", "namespace": "ai", "name": "chat-0", "uid": "u1"},
        "type": "Normal",
        "reason": "RollHeld",
        "message": "the cooldown lasts until 12:00",
        "count": 1,
        "firstTimestamp": "2026-01-01T00:00:00Z",
        "lastTimestamp": "2026-01-01T00:00:00Z",
        "source": {"component": "memroll"},
        "reportingComponent": "memroll.dev/operator",
        "reportingInstance": "memroll-0",
    }


async def test_the_same_event_again_is_counted_and_shows_the_newest_words(
    server: FakeApi, recorder: Recorder, clock: Clock
) -> None:
    recorder.publish([held("first")])
    await recorder.drain(5)
    clock.seconds += 61
    recorder.publish([held("second")])
    await recorder.drain(5)
    (event,) = stored(server)
    assert (event["count"], event["message"]) == (2, "second")
    assert (event["firstTimestamp"], event["lastTimestamp"]) == ("2026-01-01T00:00:00Z", "2026-01-01T00:01:01Z")


async def test_what_is_seen_within_a_minute_is_counted_with_the_next_one(
    server: FakeApi, recorder: Recorder, clock: Clock
) -> None:
    for _ in range(10):
        recorder.publish([held()])
        await recorder.drain(5)
        clock.seconds += 5
    assert len(server.requests) == 1
    clock.seconds += 60
    recorder.publish([held()])
    await recorder.drain(5)
    assert (stored(server)[0]["count"], len(server.requests)) == (11, 2)


async def test_another_reason_or_subject_is_written_at_once(server: FakeApi, recorder: Recorder) -> None:
    rolled = Event(CHAT, EventType.NORMAL, Reason.POD_ROLLED, "done")
    recorder.publish([held(), rolled, held(subject="other container")])
    await recorder.drain(5)
    assert len(stored(server)) == 3


async def test_a_second_process_counts_the_same_event_up(
    server: FakeApi, api: Api, recorder: Recorder, clock: Clock
) -> None:
    recorder.publish([held()])
    await recorder.drain(5)
    restarted = Recorder(api, "memroll-1", clock.now, clock.monotonic)
    restarted.publish([held("after the restart")])
    await restarted.drain(5)
    (event,) = stored(server)
    assert (event["count"], event["message"]) == (2, "after the restart")


async def test_an_event_that_has_expired_is_created_again(server: FakeApi, recorder: Recorder, clock: Clock) -> None:
    recorder.publish([held()])
    await recorder.drain(5)
    server.remove(f"{EVENTS}/{name_of(held())}")
    clock.seconds += 61
    recorder.publish([held()])
    await recorder.drain(5)
    (event,) = stored(server)
    assert (event["count"], event["firstTimestamp"]) == (1, "2026-01-01T00:01:01Z")


async def test_an_event_on_a_cluster_scoped_object_goes_to_the_default_namespace(
    server: FakeApi, recorder: Recorder
) -> None:
    recorder.publish([held(regarding=Regarding("v1", "Namespace", "", "ai", "n"))])
    await recorder.drain(5)
    assert stored(server)[0]["metadata"]["namespace"] == "default"


async def test_one_noisy_object_is_cut_down_and_others_are_not(
    server: FakeApi, recorder: Recorder, clock: Clock
) -> None:
    noise = [held(subject=str(i)) for i in range(100)]
    recorder.publish([*noise, held(regarding=Regarding("v1", "Pod", "ai", "other", "u2"))])
    await recorder.drain(5)
    assert len(stored(server)) == 25 + 1
    clock.seconds += 20
    recorder.publish([held(subject=f"later {i}") for i in range(100)])
    await recorder.drain(5)
    assert len(stored(server)) == 25 + 1 + 2


@pytest.mark.parametrize("kind", ["reset", "500", "429"])
async def test_a_passing_trouble_is_tried_again(server: FakeApi, recorder: Recorder, kind: str) -> None:
    server.faults.append(Fault(kind, method="POST", times=2))
    recorder.publish([held()])
    await recorder.drain(5)
    assert (len(stored(server)), recorder.failed) == (1, 0)


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault("503", times=99), id="the server stays down"),
        pytest.param(Fault("403", message="can't create events"), id="the right is missing"),
        pytest.param(Fault("422"), id="the event is invalid"),
    ],
)
async def test_a_failure_is_counted_and_does_not_stop_the_worker(
    server: FakeApi, recorder: Recorder, fault: Fault
) -> None:
    server.faults.append(fault)
    worker = asyncio.create_task(recorder.run())
    recorder.publish([held()])
    await recorder.drain(5)
    assert (recorder.failed, stored(server)) == (1, [])
    server.faults.clear()
    recorder.publish([held()])
    await recorder.drain(5)
    assert len(stored(server)) == 1
    assert not worker.done()
    worker.cancel()


async def test_a_defect_does_not_stop_the_worker(server: FakeApi, recorder: Recorder) -> None:
    def broken() -> datetime:
        raise ZeroDivisionError

    working, recorder._now = recorder._now, broken
    recorder.publish([held()])
    await recorder.drain(5)
    assert recorder.failed == 1
    recorder._now = working
    recorder.publish([held()])
    await recorder.drain(5)
    assert len(stored(server)) == 1


async def test_a_full_queue_keeps_the_oldest_and_counts_what_it_drops(recorder: Recorder) -> None:
    recorder.publish([held(regarding=Regarding("v1", "Pod", "ai", f"p{i}", f"u{i}")) for i in range(1100)])
    assert (recorder._queue.qsize(), recorder.dropped) == (1000, 100)
    assert recorder._queue.get_nowait().regarding.name == "p0"


async def test_draining_ends_at_its_deadline(server: FakeApi, recorder: Recorder) -> None:
    server.faults.append(Fault("hang", times=9))
    recorder.publish([held()])
    async with asyncio.timeout(4):
        await recorder.drain(0.1)


async def test_memory_is_bounded_however_many_objects_there_are(recorder: Recorder) -> None:
    recorder.publish([held(regarding=Regarding("v1", "Pod", "ai", f"p{i}", f"u{i}")) for i in range(6000)])
    assert len(recorder._known) == len(recorder._buckets) == module.REMEMBERED_MAX


@given(st.text(max_size=3000))
def test_a_message_fits_into_the_server_s_bytes(message: str) -> None:
    written = cut(message)
    assert len(written.encode()) <= MESSAGE_BYTES_MAX
    assert len(message.encode(errors="replace")) > MESSAGE_BYTES_MAX or written.encode() == message.encode(
        errors="replace"
    )


def test_a_long_message_is_cut_between_characters() -> None:
    assert cut("é" * 1000) == "é" * 510 + "…"


def test_a_name_is_never_too_long() -> None:
    assert len(name_of(held(regarding=Regarding("v1", "Pod", "ai", "x" * 253, "u")))) <= 253
