from __future__ import annotations

import asyncio
import logging
import os
import signal

import pytest

from memroll.controller import supervisor
from memroll.controller.manager import wait_for_signal
from memroll.controller.supervisor import MAX_FAILURES, supervise


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr(supervisor, "FIRST_PAUSE_S", 0.0)


async def idle():
    await asyncio.Event().wait()


class Failing:
    """Task that fails a number of times, and then ends."""

    def __init__(self, times, error=None):
        self.left, self.error, self.starts = times, error or RuntimeError("died"), 0

    async def __call__(self):
        self.starts += 1
        await asyncio.sleep(0)
        if self.left:
            self.left -= 1
            raise self.error


async def test_supervise_names_the_ended_task_and_cancels_the_others():
    stopped = []

    async def forever():
        try:
            await idle()
        finally:
            stopped.append("forever")

    assert await supervise({"forever": forever, "short": Failing(0)}) == "short"
    assert stopped == ["forever"]


async def test_a_task_that_fails_is_logged_counted_and_started_again(caplog):
    task, restarted = Failing(MAX_FAILURES - 1), []
    assert await supervise({"task": task, "idle": idle}, restarted.append) == "task"
    assert task.starts == MAX_FAILURES
    assert restarted == ["task"] * (MAX_FAILURES - 1)
    assert "bug: the task task failed; it is started again in 0 s" in caplog.text
    assert "RuntimeError: died" in caplog.text


async def test_the_error_of_a_task_that_keeps_failing_is_raised(caplog):
    with pytest.raises(RuntimeError, match="died"):
        await supervise({"task": Failing(MAX_FAILURES), "idle": idle})
    assert f"failed {MAX_FAILURES} times in a row; the process ends" in caplog.text


async def test_a_failure_disturbs_no_other_task(caplog):
    caplog.set_level(logging.CRITICAL)
    starts = []

    async def other():
        starts.append(1)
        await idle()

    assert await supervise({"task": Failing(3), "other": other}) == "task"
    assert len(starts) == 1


async def test_failures_of_a_task_that_ran_long_enough_in_between_do_not_add_up(monkeypatch):
    monkeypatch.setattr(supervisor, "STABLE_S", 0.0)
    task = Failing(3 * MAX_FAILURES)
    assert await supervise({"task": task, "idle": idle}) == "task"
    assert task.starts == 3 * MAX_FAILURES + 1


async def test_the_pauses_double(monkeypatch, caplog):
    monkeypatch.setattr(supervisor, "FIRST_PAUSE_S", 1.0)
    pauses_s = []

    async def sleep(seconds):
        pauses_s.append(seconds)

    monkeypatch.setattr(supervisor.asyncio, "sleep", sleep)
    with pytest.raises(RuntimeError):
        await supervise({"task": Failing(MAX_FAILURES)})
    assert [s for s in pauses_s if s] == [1.0, 2.0, 4.0, 8.0]


async def test_a_cancellation_from_within_a_task_is_a_failure(caplog):
    task = Failing(1, asyncio.CancelledError())
    assert await supervise({"task": task, "idle": idle}) == "task"
    assert task.starts == 2
    assert "RuntimeError: the task was cancelled from within" in caplog.text


async def test_a_cancelled_supervisor_ends_its_tasks():
    ended = []

    async def task():
        try:
            await idle()
        finally:
            ended.append(1)

    supervising = asyncio.create_task(supervise({"task": task}))
    for _ in range(5):
        await asyncio.sleep(0)
    supervising.cancel()
    with pytest.raises(asyncio.CancelledError):
        await supervising
    assert ended == [1]


async def test_a_signal_ends_the_process_as_a_task_that_ends():
    supervising = asyncio.create_task(supervise({"signals": wait_for_signal, "idle": idle}))
    for _ in range(5):
        await asyncio.sleep(0)
    os.kill(os.getpid(), signal.SIGTERM)
    assert await supervising == "signals"
