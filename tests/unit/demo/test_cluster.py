from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

DEMO = Path(__file__).parents[3] / "examples/demo"
CHILD = """
    import pathlib, signal, sys, time
    signal.signal(signal.SIGINT, signal.default_int_handler)  # background processes of a shell ignore SIGINT
    folder = pathlib.Path(sys.argv[1])
    try:
        (folder / "started").touch()
        time.sleep(60)
    except KeyboardInterrupt:
        time.sleep(1)  # longer than subprocess.run would wait for it
        (folder / "stopped").touch()
"""
PARENT = """
    import signal, sys
    from memroll_demo.cluster import run_with_progress
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    run_with_progress([sys.executable, "-c", sys.argv[1], sys.argv[2]], {})
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_waits_for_its_child_to_stop(tmp_path, number):
    arguments = [textwrap.dedent(PARENT), textwrap.dedent(CHILD), str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(DEMO)}
    with subprocess.Popen([sys.executable, "-c", *arguments], env=environment, stderr=subprocess.DEVNULL) as parent:
        try:
            deadline = time.monotonic() + 20
            while not (tmp_path / "started").exists():
                assert time.monotonic() < deadline
                assert parent.poll() is None
                time.sleep(0.05)
            parent.send_signal(number)
            assert parent.wait(20) != 0
        finally:
            parent.kill()
    assert (tmp_path / "stopped").exists(), "the parent ended before its child"
