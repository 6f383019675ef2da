"""With the probe off, there is no endpoint, no thread, no tracing, and no module beyond the wrapper is loaded."""

from __future__ import annotations

import subprocess
import sys

from tests.unit.probe.harness import environment


def test_with_the_probe_off_there_is_no_endpoint_no_thread_and_no_tracing():
    program = (
        "import threading, tracemalloc, sys, memroll_probe as m; print(m.serve(), threading.active_count(), "
        "tracemalloc.is_tracing(), 'memroll_probe.state' in sys.modules)"
    )
    assert _run(program) == "None 1 False False"


def test_with_the_probe_off_a_wrapped_application_loads_only_the_wrapper():
    program = (
        "import sys; from memroll_probe import asgi, wsgi; asgi.Probe(print); wsgi.Probe(print); "
        "print(sorted(m for m in sys.modules if 'memroll' in m or m in ('tracemalloc', 'http.server')))"
    )
    names = [f"memroll_probe.{n}" for n in ("asgi", "messages", "settings", "wrapper", "wsgi")]
    assert _run(program) == str(["memroll_probe", *names])


def _run(program):
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True)
    return done.stdout.strip()
