"""A steady load on several services, a new connection per request. Standard library only.

TARGETS="name=http://address/ ..."  PER_SECOND=20, or "name@5=http://address/" for a rate of its own
VISITS=a.module  whose `visit(url)` makes a request and raises what urllib raises; without it, a plain GET
Requests leave on time whether or not earlier ones were answered, as those of many users would: a service that hangs
loses as many requests as it deserves to. Prints one JSON object a second: for each service the totals so far, the kinds
of failure, how long answers took, and the longest outage: the longest time from one success to the next with a failure
in between.
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


class Tally:
    """What became of the requests to one service."""

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
        """Count one request; `failure` is empty for a success."""
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
        """Return the totals; an outage that still goes on counts up to now."""
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


def quantile(counts: Counter[int], share: float) -> int:
    """Return the least value that at least this share of the counted ones does not exceed."""
    wanted, seen = share * sum(counts.values()), 0
    for value in sorted(counts):
        seen += counts[value]
        if seen >= wanted:
            return value
    return 0


def get(url: str) -> None:
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:  # noqa: S310 - addresses of the demo's services
        answer.read()


def ask(url: str, visit: Visit = get) -> str:
    """Make one request; return the kind of failure, or nothing."""
    try:
        visit(url)
    except urllib.error.HTTPError as error:
        return f"HTTP {error.code}"
    except urllib.error.URLError as error:
        return kind(error.reason)
    except (OSError, http.client.HTTPException, ValueError) as error:  # an answer that can't be read, too
        return kind(error)
    return ""


def kind(reason: str | BaseException) -> str:
    """Name a failure: a plain OSError by what the kernel said, such as EHOSTUNREACH."""
    if isinstance(reason, str):
        return reason
    if type(reason) is OSError and reason.errno is not None:
        return errno.errorcode.get(reason.errno, "OSError")
    return type(reason).__name__


def ask_and_count(url: str, tally: Tally, visit: Visit = get) -> None:
    began_s = time.monotonic()
    failure = ask(url, visit)
    ended_s = time.monotonic()
    tally.count(failure, ended_s, ended_s - began_s)


def press(url: str, tally: Tally, per_second: float, stop: threading.Event, visit: Visit = get) -> None:
    """Send requests at this rate until stopped; a stall of this program makes it late, not faster afterwards."""
    at_once = int(per_second * TIMEOUT_S) + 1
    due_s = time.monotonic()
    with ThreadPoolExecutor(max_workers=at_once) as pool:
        while not stop.wait(max(0.0, due_s - time.monotonic())):
            pool.submit(ask_and_count, url, tally, visit)
            due_s = max(due_s + 1 / per_second, time.monotonic())


def main() -> None:
    visits = os.environ.get("VISITS")
    visit = importlib.import_module(visits).visit if visits else get
    tallies: dict[str, Tally] = {}
    stop = threading.Event()
    for pair in os.environ["TARGETS"].split():
        target, url = pair.split("=", 1)
        name, _, rate = target.partition("@")
        per_second = float(rate or os.environ.get("PER_SECOND", "20"))
        tallies[name] = Tally()
        threading.Thread(target=press, args=(url, tallies[name], per_second, stop, visit), daemon=True).start()
    while True:
        time.sleep(1)
        now_s = time.monotonic()
        print(json.dumps({name: tally.snapshot(now_s) for name, tally in tallies.items()}), flush=True)


if __name__ == "__main__":
    main()
