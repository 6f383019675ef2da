from __future__ import annotations

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest

SERVICE = Path(__file__).parents[3] / "examples/demo/service"


def _load():
    spec = importlib.util.spec_from_file_location("demo_load", SERVICE / "load.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


load = _load()


def test_an_outage_lasts_from_the_last_success_to_the_next():
    counts = load.RequestCounts()
    for now_s, failure in ((0, ""), (1, ""), (2, "refused"), (3, "refused"), (4.5, ""), (5, ""), (9, "")):
        counts.count(failure, now_s)
    assert counts.snapshot(10) == {
        "requests": 7,
        "failures": 2,
        "kinds": {"refused": 2},
        "longest_outage_s": 3.5,
        "p99_ms": 0,
        "slowest_ms": 0,
    }, "a pause without a failure is no outage"


def test_a_current_outage_counts_up_to_now():
    counts = load.RequestCounts()
    counts.count("", 0)
    counts.count("refused", 1)
    assert counts.snapshot(7)["longest_outage_s"] == 7


def test_failures_do_not_count_in_response_times():
    counts = load.RequestCounts()
    for took_s in [0.002] * 98 + [0.040, 0.900]:
        counts.count("", 0, took_s)
    counts.count("refused", 0, 5.0)
    seen = counts.snapshot(0)
    assert (seen["p99_ms"], seen["slowest_ms"]) == (40, 900)


@pytest.mark.parametrize(
    ("error", "failure_kind"),
    [
        (OSError(113, "No route to host"), "EHOSTUNREACH"),
        (ConnectionResetError(104, "reset"), "ConnectionResetError"),
        (TimeoutError("timed out"), "TimeoutError"),
        (OSError("no number"), "OSError"),
        ("unknown url type", "unknown url type"),
    ],
)
def test_each_kind_of_failure_has_a_name(error, failure_kind):
    assert load.failure_kind(error) == failure_kind


def test_a_service_that_hangs_loses_as_many_requests_as_one_that_refuses(monkeypatch):
    """Requests continue at their rate while earlier ones wait for their timeout."""
    monkeypatch.setattr(load, "TIMEOUT_S", 1.0)
    counts, stop = load.RequestCounts(), threading.Event()
    with socket.create_server(("127.0.0.1", 0), backlog=100) as hanging:
        url = f"http://127.0.0.1:{hanging.getsockname()[1]}/"
        pressing = threading.Thread(target=load.send_requests, args=(url, counts, 20.0, stop))
        pressing.start()
        time.sleep(2.5)
        stop.set()
        pressing.join(20)
    assert not pressing.is_alive()
    assert 40 <= counts.failures == counts.requests <= 52
    assert set(counts.kinds) == {"TimeoutError"}


def test_a_refused_connection_is_a_failure_with_its_kind():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert load.request_failure(f"http://127.0.0.1:{port}/") == "ConnectionRefusedError"


@pytest.fixture
def service(request):
    """Run the real service with the environment of the test's parameter; yield its process and address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = os.environ | {"PORT": str(port)} | getattr(request, "param", {})
    process = subprocess.Popen([sys.executable, str(SERVICE / "app.py")], env=environment)
    address = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 20
    while True:
        try:
            get(f"{address}/metrics")
            break
        except OSError:
            assert time.monotonic() < deadline, "the service does not start"
    yield process, address
    process.kill()
    process.wait()


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


def kept_bytes(address: str) -> int:
    line = next(m for m in get(f"{address}/metrics").splitlines() if m.startswith("demo_kept_bytes "))
    return int(line.split()[1])


@pytest.mark.parametrize("service", [{"LEAK_KIB_PER_REQUEST": "8"}], indirect=True)
def test_each_request_leaks_as_set_in_the_environment(service):
    _, address = service
    for _ in range(5):
        assert get(f"{address}/").startswith("served by ")
    assert kept_bytes(address) == 5 * 8 * 1024


@pytest.mark.parametrize("service", [{"HOLD_MIB": "32", "HOLD_AFTER_S": "0"}], indirect=True)
def test_kept_memory_is_resident(service):
    _, address = service
    deadline = time.monotonic() + 20
    while kept_bytes(address) < 32 * 2**20:
        assert time.monotonic() < deadline
    (line,) = [m for m in get(f"{address}/metrics").splitlines() if m.startswith("process_resident_memory_bytes ")]
    assert int(line.split()[1]) > 32 * 2**20


@pytest.mark.parametrize("service", [{"CACHE_MIB": "3", "CACHE_TAU_S": "0.1"}], indirect=True)
def test_a_cache_fills_and_stays_bounded(service):
    _, address = service
    deadline = time.monotonic() + 20
    while kept_bytes(address) < 2.9 * 2**20:
        assert time.monotonic() < deadline
    assert kept_bytes(address) <= 3 * 2**20


@pytest.mark.parametrize("service", [{"LEAK_KIB_PER_REQUEST": "65536"}], indirect=True)
def test_a_request_in_flight_is_completed_after_sigterm(service):
    """Creating 64 MiB of random bytes takes long enough for the signal to arrive in between."""
    process, address = service
    answers: list[str] = []
    asking = threading.Thread(target=lambda: answers.append(get(f"{address}/")))
    asking.start()
    deadline = time.monotonic() + 10
    while "demo_requests_total 1" not in get(f"{address}/metrics"):
        assert time.monotonic() < deadline
    process.send_signal(signal.SIGTERM)
    asking.join(20)
    assert process.wait(20) == 0
    assert len(answers) == 1


def test_the_load_prints_its_totals_as_json(service):
    _, address = service
    environment = os.environ | {"TARGETS": f"app={address}/", "PER_SECOND": "50"}
    process = subprocess.Popen(
        [sys.executable, str(SERVICE / "load.py")], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        first, second = (json.loads(process.stdout.readline()) for _ in range(2))
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    assert second["app"]["requests"] > first["app"]["requests"] > 0
    assert second["app"]["failures"] == 0
