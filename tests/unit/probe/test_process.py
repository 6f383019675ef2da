from __future__ import annotations

import asyncio
import os
import sys

import pytest

from memroll_probe import process
from memroll_probe.naming import Files, type_name


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux'")
def test_the_figures_of_this_process_fit_together():
    told = process.process(None)
    assert told["pid"] == os.getpid()
    assert 0 < told["ussBytes"] <= told["peakRssBytes"]
    assert 0 < told["rssBytes"] <= told["peakRssBytes"] * 1.01


def test_without_proc_there_are_no_figures(tmp_path):
    found = (process.rss_bytes(tmp_path), process.peak_rss_bytes(tmp_path), process.uss_bytes(tmp_path))
    assert found == (None, None, None)


@pytest.mark.parametrize("text", ["", "garbage", "1", "VmHWM:", "VmHWM: much kB", "\n\n"])
def test_what_can_t_be_read_is_not_a_number(tmp_path, text):
    for name in ("statm", "status", "smaps_rollup"):
        (tmp_path / name).write_text(text)
    assert process.rss_bytes(tmp_path) is None
    assert process.peak_rss_bytes(tmp_path) is None
    assert process.uss_bytes(tmp_path) is None


@pytest.mark.parametrize(
    ("files", "room_bytes"),
    [
        pytest.param({"memory.max": "1000\n", "memory.current": "400\n"}, 600, id="version 2"),
        pytest.param(
            {"memory.max": "1000", "memory.current": "950", "memory.stat": "anon 500\ninactive_file 300\n"},
            350,
            id="version 2, with files that are not in use",
        ),
        pytest.param(
            {
                "memory/memory.limit_in_bytes": "1000",
                "memory/memory.usage_in_bytes": "950",
                "memory/memory.stat": "inactive_file 1\ntotal_inactive_file 300\n",
            },
            350,
            id="version 1, with files that are not in use",
        ),
        pytest.param(
            {"memory.max": "1000", "memory.current": "400", "memory.stat": "what\n"}, 600, id="version 2, unreadable"
        ),
        pytest.param({"memory.max": "max\n", "memory.current": "400\n"}, None, id="version 2 without a limit"),
        pytest.param(
            {"memory/memory.limit_in_bytes": "1000", "memory/memory.usage_in_bytes": "1400"}, 0, id="version 1, over"
        ),
        pytest.param(
            {"memory/memory.limit_in_bytes": "9223372036854771712", "memory/memory.usage_in_bytes": "4"},
            None,
            id="version 1 without a limit",
        ),
        pytest.param({}, None, id="no cgroup"),
    ],
)
def test_the_room_in_the_container(tmp_path, files, room_bytes):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert process.room_bytes(tmp_path) == room_bytes


async def test_tasks_are_counted_from_another_thread():
    sleepers = [asyncio.ensure_future(asyncio.sleep(60)) for _ in range(20)]
    loop = asyncio.get_running_loop()
    assert await asyncio.to_thread(process.task_count, loop) == 21
    for sleeper in sleepers:
        sleeper.cancel()


def test_no_loop_and_a_closed_one_have_no_tasks():
    loop = asyncio.new_event_loop()
    loop.close()
    assert process.task_count(loop) is None
    assert process.task_count(None) is None


@pytest.mark.parametrize(
    ("file", "short"),
    [
        pytest.param(
            "/opt/venv/lib/site-packages/langflow/utils/validate.py", "langflow/utils/validate.py", id="package"
        ),
        pytest.param("/opt/venv/lib/json/decoder.py", "json/decoder.py", id="standard library"),
        pytest.param("/srv/app/deep/down/below/x.py", "down/below/x.py", id="not on the path"),
        pytest.param("<frozen importlib._bootstrap>", "<frozen importlib._bootstrap>", id="frozen"),
    ],
)
def test_files_are_named_as_they_are_imported(monkeypatch, file, short):
    monkeypatch.setattr(sys, "path", ["/opt/venv/lib", "/opt/venv/lib/site-packages", ""])
    assert Files().short(file) == short


def test_types_are_named_by_module_and_builtins_plainly():
    odd = type("Odd", (), {"__module__": 7})
    assert [type_name(t) for t in (dict, asyncio.Event, odd)] == ["dict", "asyncio.locks.Event", "Odd"]
