from __future__ import annotations

import asyncio
import os
import sys

import pytest

from memroll_probe import process


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux'")
def test_the_figures_of_this_process_are_consistent():
    figures = process.describe_process(None)
    assert figures["pid"] == os.getpid()
    assert 0 < figures["ussBytes"] <= figures["peakRssBytes"]
    assert 0 < figures["rssBytes"] <= figures["peakRssBytes"] * 1.01


def test_without_proc_there_are_no_figures(tmp_path):
    found = (process.rss_bytes(tmp_path), process.peak_rss_bytes(tmp_path), process.uss_bytes(tmp_path))
    assert found == (None, None, None)


@pytest.mark.parametrize("text", ["", "garbage", "1", "VmHWM:", "VmHWM: much kB", "\n\n"])
def test_an_unreadable_figure_is_none(tmp_path, text):
    for name in ("statm", "status", "smaps_rollup"):
        (tmp_path / name).write_text(text)
    assert process.rss_bytes(tmp_path) is None
    assert process.peak_rss_bytes(tmp_path) is None
    assert process.uss_bytes(tmp_path) is None


@pytest.mark.parametrize(
    ("files", "headroom_bytes"),
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
def test_the_memory_headroom_of_the_container(tmp_path, files, headroom_bytes):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert process.headroom_bytes(tmp_path) == headroom_bytes


async def test_tasks_are_counted_from_another_thread():
    sleepers = [asyncio.ensure_future(asyncio.sleep(60)) for _ in range(20)]
    loop = asyncio.get_running_loop()
    assert await asyncio.to_thread(process.count_tasks, loop) == 21
    for sleeper in sleepers:
        sleeper.cancel()


def test_no_loop_and_a_closed_one_have_no_tasks():
    loop = asyncio.new_event_loop()
    loop.close()
    assert process.count_tasks(loop) is None
    assert process.count_tasks(None) is None
