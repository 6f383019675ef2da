"""Switched off, the probe is not there: no endpoint, no thread, no tracing, no module of its machinery."""

from __future__ import annotations

import subprocess
import sys

from tests.unit.probe.driving import environment


def test_switched_off_there_is_no_endpoint_no_thread_and_no_tracing():
    program = (
        "import threading, tracemalloc, sys, memroll_probe as m; print(m.serve(), threading.active_count(), "
        "tracemalloc.is_tracing(), 'memroll_probe.watch' in sys.modules)"
    )
    assert _printed(program) == "None 1 False False"


def test_switched_off_a_wrapped_application_loads_nothing_of_the_probe_s_machinery():
    program = (
        "import sys; from memroll_probe import asgi, wsgi; asgi.Probe(print); wsgi.Probe(print); "
        "print(sorted(m for m in sys.modules if 'memroll' in m or m in ('tracemalloc', 'http.server')))"
    )
    names = [f"memroll_probe.{n}" for n in ("asgi", "exchange", "settings", "wrapper", "wsgi")]
    assert _printed(program) == str(["memroll_probe", *names])


def _printed(program):
    run = subprocess.run([sys.executable, "-c", program], env=environment(), capture_output=True, text=True, check=True)
    return run.stdout.strip()
