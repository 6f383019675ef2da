"""Forked workers: each has counts, threads and locks of its own."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.unit.probe.harness import environment

PROGRAM = """
import json, os, threading, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of forking with threads, as is done here
from memroll_probe import report
from memroll_probe.asgi import Probe
from memroll_probe.current import current

state = current()
state.requests.begin_request()
state.ensure_started()
state.tracer.start(1)
flights = state.single_flight
held = [state.requests._lock, flights._lock, flights._work_lock, state.tracer._lock, state._start_lock]
for lock in held:
    lock.acquire()  # as another thread would hold them at the moment of the fork
child = os.fork()
if child:
    raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
before = threading.active_count()
state.ensure_started()
made = state.single_flight.run("report", lambda: report.build_report(state, deep=False)).result(20)
print(json.dumps([made, os.getpid(), before, any(t.name == "memroll-probe" for t in threading.enumerate())]))
"""


def test_a_forked_worker_starts_from_an_empty_state_and_reports_its_own_pid():
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment(**{"": "1"}),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    report, pid, threads_before, samples = json.loads(run.stdout)
    assert report["process"]["pid"] == pid
    assert report["requests"] == {"total": 0, "inFlight": 0}
    assert report["tracing"]["state"] == "off"
    assert report["errors"] == []
    assert (threads_before, samples) == (1, True)
