"""Slots of evidence captures: bounded, shared by namespaces, and without a slot of a roll's step."""

from __future__ import annotations

import asyncio

import pytest

from memroll.api.evidence import Evidence
from memroll.controller import capture_slots
from memroll.controller.capture_slots import CaptureSlots
from memroll.controller.key import Key
from tests.builders import NOW, roll

DONE = Evidence(captured_at=NOW)


@pytest.fixture(autouse=True)
def _no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture_slots, "QUICK_S", 0.0)


class Captures:
    """Captures that wait until the test answers them."""

    def __init__(self, slots: int = 4, max_per_namespace: int = 2) -> None:
        self.woken: list[Key] = []
        self.running: list[str] = []
        self.answer = asyncio.Event()
        self.has_woken = asyncio.Event()
        self.slots = CaptureSlots(self.wake, slots, max_per_namespace)

    def wake(self, key: Key) -> None:
        self.woken.append(key)
        self.has_woken.set()

    async def step(self, namespace: str, name: str, available_s: float = 10.0) -> Evidence | None:
        """Call as a step of a roll does."""
        stepped = roll().model_copy(update={"namespace": namespace, "name": name, "uid": f"uid-{namespace}-{name}"})

        async def capture(remaining_s: float) -> Evidence:
            self.running.append(f"{namespace}/{name}")
            async with asyncio.timeout(remaining_s):
                await self.answer.wait()
            return DONE

        found = await self.slots.capture(stepped, available_s, capture)
        await asyncio.sleep(0)
        return found


async def test_a_step_does_not_wait_for_its_capture_and_the_roll_is_woken_when_it_ends():
    captures = Captures()
    assert await captures.step("ai", "a") is None
    assert await captures.step("ai", "a") is None
    captures.answer.set()
    await captures.has_woken.wait()
    assert (captures.woken, captures.running) == ([Key("ai", "a")], ["ai/a"])
    assert await captures.step("ai", "a") == DONE


async def test_a_quick_capture_needs_no_second_step(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(capture_slots, "QUICK_S", 5.0)
    captures = Captures()
    captures.answer.set()
    assert await captures.step("ai", "a") == DONE


async def test_a_namespace_with_many_slow_captures_delays_no_capture_of_another():
    captures = Captures()
    for i in range(20):
        await captures.step("hostile", str(i))
    assert captures.running == ["hostile/0", "hostile/1"]
    await captures.step("victim", "a")
    assert captures.running[-1] == "victim/a"
    captures.answer.set()
    await asyncio.sleep(0.01)


async def test_a_capture_with_little_time_is_a_part_of_its_step():
    captures = Captures(slots=1, max_per_namespace=1)
    await captures.step("ai", "waits")
    captures.answer.set()
    assert await captures.step("ai", "short", available_s=1.0) == DONE
    assert Key("ai", "short") not in captures.woken


async def test_an_error_of_a_capture_is_raised_in_the_step_of_its_roll(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(capture_slots, "QUICK_S", 5.0)
    captures = Captures()

    async def broken(_: float) -> Evidence:
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        await captures.slots.capture(roll(), 10.0, broken)


async def test_what_no_step_reads_is_dropped(monkeypatch: pytest.MonkeyPatch):
    now = 100.0
    monkeypatch.setattr("memroll.controller.capture_slots._now", lambda: now)
    captures = Captures()
    await captures.step("ai", "ended")
    captures.answer.set()
    await captures.has_woken.wait()
    now += 200.0
    captures.answer.clear()
    await captures.step("ai", "next")
    assert list(captures.slots._captures) == [Key("ai", "uid-ai-next")]


async def test_a_capture_whose_time_has_passed_in_the_queue_is_not_started(monkeypatch: pytest.MonkeyPatch):
    now = 100.0
    monkeypatch.setattr("memroll.controller.capture_slots._now", lambda: now)
    captures = Captures(slots=1, max_per_namespace=1)
    await captures.step("ai", "first", available_s=60.0)
    await captures.step("ai", "late", available_s=10.0)
    now += 20.0
    captures.answer.set()
    await captures.has_woken.wait()
    assert captures.running == ["ai/first"]
