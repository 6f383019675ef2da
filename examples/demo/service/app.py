"""Web service whose memory usage is set by environment variables. Standard library only.

LEAK_KIB_PER_REQUEST   memory kept forever with each request; "40-80": a value in this range that depends on the host
LEAK_KIB_PER_SECOND    memory kept forever, independent of load
HOLD_MIB, HOLD_AFTER_S memory allocated at once, some time after the start, and kept: a high-water mark
CACHE_MIB, CACHE_TAU_S bounded cache that fills along a saturating curve
FILE_KIB_PER_SECOND    written to FILE and read again: page cache, or memory of a volume if FILE is in a memory volume
READY_AFTER_S          time after the start in which /healthz responds with 503
KEEP_ALIVE_S           time that idle connections are kept; if unset, each connection serves one request

GET /stream?seconds=30 responds with one line per second; demo_inflight_requests in /metrics counts requests in flight.
"""

from __future__ import annotations

import math
import os
import random
import resource
import signal
import socket
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

KIB, MIB = 2**10, 2**20
STATM_RESIDENT = 1
TICK_S = 0.5
started = time.monotonic()


def number(name: str, default: float = 0.0) -> float:
    """Read a number from the environment; from a range, choose one that depends on the host's name only."""
    low, _, high = os.environ.get(name, str(default)).partition("-")
    if not high:
        return float(low)
    return random.Random(socket.gethostname()).uniform(float(low), float(high))  # noqa: S311 - variety, not secrecy


def resident_bytes() -> int:
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[STATM_RESIDENT]
    return int(pages) * resource.getpagesize()


class ServiceMemory:
    """Memory that the service keeps. Random bytes, so that pages are neither shared nor compressed."""

    def __init__(self) -> None:
        self.per_request = int(number("LEAK_KIB_PER_REQUEST") * KIB)
        self.per_second = number("LEAK_KIB_PER_SECOND") * KIB
        self.hold, self.hold_after_s = int(number("HOLD_MIB") * MIB), number("HOLD_AFTER_S")
        self.cache, self.tau_s = number("CACHE_MIB") * MIB, number("CACHE_TAU_S", 1.0)
        self.kept: list[bytes] = []
        self.kept_bytes = 0
        self.requests = 0
        self._lock = threading.Lock()

    def keep(self, count: float) -> None:
        if count >= 1:
            taken = os.urandom(int(count))
            with self._lock:
                self.kept.append(taken)
                self.kept_bytes += len(taken)

    def serve(self) -> None:
        with self._lock:
            self.requests += 1
        self.keep(self.per_request)

    def grow(self) -> None:
        """Grow with time; never returns."""
        held, cached, before = False, 0.0, time.monotonic()
        while True:
            time.sleep(TICK_S)
            now = time.monotonic()
            age_s = now - started
            self.keep(self.per_second * (now - before))
            if self.hold and not held and age_s >= self.hold_after_s:
                self.keep(self.hold)
                held = True
            target = self.cache * (1 - math.exp(-age_s / self.tau_s))
            self.keep(target - cached)
            cached, before = max(cached, target), now


class GrowingFile:
    """File that grows with time. It is read as well, so that its pages count as active."""

    def __init__(self) -> None:
        self.per_second = number("FILE_KIB_PER_SECOND") * KIB
        self.path = os.environ.get("FILE", "")

    def grow(self) -> None:
        """Grow with time; never returns."""
        before = time.monotonic()
        with Path(self.path).open("w+b", buffering=0) as file:
            while True:
                time.sleep(TICK_S)
                now = time.monotonic()
                file.write(os.urandom(int(self.per_second * (now - before))))
                before = now
                file.seek(0)
                while file.read(MIB):
                    pass


class InFlight:
    """Number of requests in flight, except those for /metrics and /healthz."""

    def __init__(self) -> None:
        self.count = 0
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            self.count += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self.count -= 1


class DemoHandler(BaseHTTPRequestHandler):
    memory: ServiceMemory
    ready_after_s: float
    in_flight = InFlight()
    stopping = threading.Event()
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        url = urllib.parse.urlsplit(self.path)
        if url.path == "/metrics":
            self.answer(200, self.metrics())
        elif url.path == "/healthz":
            ready = time.monotonic() - started >= self.ready_after_s
            self.answer(200 if ready else 503, "ok\n" if ready else "starting\n")
        elif url.path == "/stream":
            with self.in_flight:
                self.stream(int(urllib.parse.parse_qs(url.query).get("seconds", ["30"])[0]))
        else:
            with self.in_flight:
                self.memory.serve()
                self.answer(200, f"served by {socket.gethostname()}\n")

    def stream(self, seconds: int) -> None:
        """Respond with one line per second. Content-Length is sent, so that clients can detect truncation."""
        lines = [f"{second:>5} of {seconds} by {socket.gethostname()}\n".encode() for second in range(1, seconds + 1)]
        self.begin(200, sum(map(len, lines)))
        for line in lines:
            time.sleep(1)
            self.wfile.write(line)

    def metrics(self) -> str:
        return (
            "# TYPE demo_kept_bytes gauge\n"
            f"demo_kept_bytes {self.memory.kept_bytes}\n"
            "# TYPE demo_requests_total counter\n"
            f"demo_requests_total {self.memory.requests}\n"
            "# TYPE demo_inflight_requests gauge\n"
            f"demo_inflight_requests {self.in_flight.count}\n"
            "# TYPE process_resident_memory_bytes gauge\n"
            f"process_resident_memory_bytes {resident_bytes()}\n"
        )

    def answer(self, status: int, text: str) -> None:
        body = text.encode()
        self.begin(status, len(body))
        self.wfile.write(body)

    def begin(self, status: int, length: int) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(length))
        if self.stopping.is_set():
            self.send_header("Connection", "close")  # the client's next request goes to another pod
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that http.server uses
        """Log nothing: one line per request would be noise."""


class DemoServer(ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = False  # requests in flight are completed before the process ends


def stop(server: DemoServer) -> None:
    DemoHandler.stopping.set()
    threading.Thread(target=server.shutdown).start()  # it must not run in the serving thread


def main() -> None:
    DemoHandler.memory = ServiceMemory()
    DemoHandler.ready_after_s = number("READY_AFTER_S")
    if idle_s := number("KEEP_ALIVE_S"):
        DemoHandler.protocol_version, DemoHandler.timeout = "HTTP/1.1", idle_s
    server = DemoServer(("", int(os.environ.get("PORT", "8080"))), DemoHandler)
    # Process 1 ignores SIGTERM unless it installs a handler.
    signal.signal(signal.SIGTERM, lambda *_: stop(server))
    threading.Thread(target=DemoHandler.memory.grow, daemon=True).start()
    if (growing := GrowingFile()).path:
        threading.Thread(target=growing.grow, daemon=True).start()
    server.serve_forever(poll_interval=0.1)
    server.server_close()


if __name__ == "__main__":
    main()
