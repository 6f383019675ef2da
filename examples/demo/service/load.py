"""A steady load on several services, a new connection per request. Standard library only.

TARGETS="name=http://address/ ..."  PER_SECOND=20
Prints one JSON object a second: for each service the totals so far, the kinds of failure, and the longest
outage: the longest time from one success to the next with a failure in between.
"""

from __future__ import annotations

import http.client
import json
import os
import threading
import time
import urllib.error
import urllib.request
from collections import Counter

TIMEOUT_S = 5.0
WORKERS = 10


class Tally:
    """What became of the requests to one service."""

    def __init__(self) -> None:
        self.requests = 0
        self.failures = 0
        self.kinds: Counter[str] = Counter()
        self.longest_outage_s = 0.0
        self._last_ok_s: float | None = None
        self._failing = False
        self._lock = threading.Lock()

    def count(self, failure: str, now_s: float) -> None:
        """Count one request; `failure` is empty for a success."""
        with self._lock:
            self.requests += 1
            if failure:
                self.failures += 1
                self.kinds[failure] += 1
                self._failing = True
                return
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
            }


def ask(url: str) -> str:
    """Make one request; return the kind of failure, or nothing."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:  # noqa: S310 - addresses of the demo's services
            answer.read()
    except urllib.error.HTTPError as error:
        return f"HTTP {error.code}"
    except urllib.error.URLError as error:
        return type(error.reason).__name__
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__
    return ""


def press(url: str, tally: Tally, per_second: float, stop: threading.Event) -> None:
    """Keep one worker's share of the rate; a slow answer makes it late, not faster afterwards."""
    pause_s = WORKERS / per_second
    while not stop.wait(pause_s):
        tally.count(ask(url), time.monotonic())


def main() -> None:
    per_second = float(os.environ.get("PER_SECOND", "20"))
    targets = dict(pair.split("=", 1) for pair in os.environ["TARGETS"].split())
    tallies = {name: Tally() for name in targets}
    stop = threading.Event()
    for name, url in targets.items():
        for _ in range(WORKERS):
            threading.Thread(target=press, args=(url, tallies[name], per_second, stop), daemon=True).start()
    while True:
        time.sleep(1)
        now_s = time.monotonic()
        print(json.dumps({name: tally.snapshot(now_s) for name, tally in tallies.items()}), flush=True)


if __name__ == "__main__":
    main()
