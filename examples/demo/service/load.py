"""Constant load on several services, with a new connection per request. Standard library only.

TARGETS="name=http://address/ ..."  PER_SECOND=20, or "name@5=http://address/" for a separate rate
VISITS=a.module  with a function `visit(url)` that sends a request and raises urllib's errors; default: a plain GET
Requests are sent on schedule, whether or not earlier ones were answered, like those of many users. So a service that
hangs loses as many requests as one that refuses connections. Prints one JSON object per second: for each service the
totals, the kinds of failure, response times, and the longest outage: the longest time from one success to the next with
a failure in between.
"""

from __future__ import annotations

import errno
import http.client
import importlib
import json
import os
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    Visit = Callable[[str], None]

TIMEOUT_S = 5.0


class RequestCounts:
    """Outcomes of the requests to one service."""

    def __init__(self) -> None:
        self.requests = 0
        self.failures = 0
        self.kinds: Counter[str] = Counter()
        self.longest_outage_s = 0.0
        self._took_ms: Counter[int] = Counter()
        self._last_ok_s: float | None = None
        self._failing = False
        self._lock = threading.Lock()

    def count(self, failure: str, now_s: float, took_s: float = 0.0) -> None:
        """Count one request; `failure` is empty on success."""
        with self._lock:
            self.requests += 1
            if failure:
                self.failures += 1
                self.kinds[failure] += 1
                self._failing = True
                return
            self._took_ms[round(took_s * 1000)] += 1
            if self._failing and self._last_ok_s is not None:
                self.longest_outage_s = max(self.longest_outage_s, now_s - self._last_ok_s)
            self._last_ok_s, self._failing = now_s, False

    def snapshot(self, now_s: float) -> dict[str, object]:
        """Return the totals; a current outage counts up to now."""
        with self._lock:
            outage_s = self.longest_outage_s
            if self._failing and self._last_ok_s is not None:
                outage_s = max(outage_s, now_s - self._last_ok_s)
            return {
                "requests": self.requests,
                "failures": self.failures,
                "kinds": dict(self.kinds),
                "longest_outage_s": round(outage_s, 2),
                "p99_ms": quantile(self._took_ms, 0.99),
                "slowest_ms": max(self._took_ms, default=0),
            }


def quantile(counts: Counter[int], ratio: float) -> int:
    """Return the smallest value that is at least as large as this ratio of the counted values."""
    target, cumulated = ratio * sum(counts.values()), 0
    for value in sorted(counts):
        cumulated += counts[value]
        if cumulated >= target:
            return value
    return 0


def get(url: str) -> None:
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response:  # noqa: S310 - addresses of the demo's services
        response.read()


def request_failure(url: str, visit: Visit = get) -> str:
    """Send one request; return the kind of failure, or an empty string."""
    try:
        visit(url)
    except urllib.error.HTTPError as error:
        return f"HTTP {error.code}"
    except urllib.error.URLError as error:
        return failure_kind(error.reason)
    except (OSError, http.client.HTTPException, ValueError) as error:  # including unreadable responses
        return failure_kind(error)
    return ""


def failure_kind(reason: str | BaseException) -> str:
    """Return the name of a failure: of a plain OSError its error code, such as EHOSTUNREACH."""
    if isinstance(reason, str):
        return reason
    if type(reason) is OSError and reason.errno is not None:
        return errno.errorcode.get(reason.errno, "OSError")
    return type(reason).__name__


def request_and_count(url: str, counts: RequestCounts, visit: Visit = get) -> None:
    started_s = time.monotonic()
    failure = request_failure(url, visit)
    ended_s = time.monotonic()
    counts.count(failure, ended_s, ended_s - started_s)


def send_requests(
    url: str, counts: RequestCounts, per_second: float, stop: threading.Event, visit: Visit = get
) -> None:
    """Send requests at this rate until stopped. After a stall of this program, requests are not caught up on."""
    max_in_flight = int(per_second * TIMEOUT_S) + 1
    due_s = time.monotonic()
    with ThreadPoolExecutor(max_workers=max_in_flight) as pool:
        while not stop.wait(max(0.0, due_s - time.monotonic())):
            pool.submit(request_and_count, url, counts, visit)
            due_s = max(due_s + 1 / per_second, time.monotonic())


def main() -> None:
    visits = os.environ.get("VISITS")
    visit = importlib.import_module(visits).visit if visits else get
    counts_by_name: dict[str, RequestCounts] = {}
    stop = threading.Event()
    for pair in os.environ["TARGETS"].split():
        target, url = pair.split("=", 1)
        name, _, rate = target.partition("@")
        per_second = float(rate or os.environ.get("PER_SECOND", "20"))
        counts_by_name[name] = RequestCounts()
        threading.Thread(
            target=send_requests, args=(url, counts_by_name[name], per_second, stop, visit), daemon=True
        ).start()
    while True:
        time.sleep(1)
        now_s = time.monotonic()
        print(json.dumps({name: counts.snapshot(now_s) for name, counts in counts_by_name.items()}), flush=True)


if __name__ == "__main__":
    main()
