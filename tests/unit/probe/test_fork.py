"""Servers fork workers: each has counts, threads and locks of its own."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.unit.probe.driving import environment

PROGRAM = """
import json, os, threading, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of forking with threads: it is the case here
from memroll_probe import report
from memroll_probe.asgi import Probe
from memroll_probe.here import current

watch = current()
watch.traffic.request_begins()
watch.wake()
watch.tracing.start(1)
held = [watch.traffic._lock, watch.turns._lock, watch.turns._turn, watch.tracing._lock, watch._waking]
for lock in held:
    lock.acquire()  # as another thread would hold them at the moment of the fork
child = os.fork()
if child:
    raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
before = threading.active_count()
watch.wake()
made = watch.turns.take("report", lambda: report.full(watch, use_deep=False)).result(20)
print(json.dumps([made, os.getpid(), before, any(t.name == "memroll-probe" for t in threading.enumerate())]))
"""


def test_a_forked_worker_begins_anew_and_names_itself():
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment(**{"": "1"}),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    report, pid, threads_before, looks = json.loads(run.stdout)
    assert report["process"]["pid"] == pid
    assert report["requests"] == {"total": 0, "inFlight": 0}
    assert report["tracing"]["state"] == "off"
    assert report["errors"] == []
    assert (threads_before, looks) == (1, True)
