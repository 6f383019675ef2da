"""`python -m memroll_systems.tracing_race.check URL` tells whether runs at the same time keep their traces apart.

Exit code 0 when each run got its own spans and no others, 1 when they are mixed, 2 when a run failed.
"""

from __future__ import annotations

import argparse
import http.client
import json
import sys
import urllib.request
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

TIMEOUT_S = 30.0
SPANS = 4


@dataclass(frozen=True)
class Found:
    """What came back for one run."""

    foreign: int
    missing: int

    @property
    def mixed(self) -> bool:
        return bool(self.foreign or self.missing)


def main() -> int:
    parser = argparse.ArgumentParser("memroll_systems.tracing_race.check", description=__doc__)
    parser.add_argument("url", help="the address of the server")
    parser.add_argument("--runs", type=int, default=20, help="how many at the same time")
    arguments = parser.parse_args()
    try:
        found = check(arguments.url, arguments.runs)
    except (OSError, http.client.HTTPException, ValueError) as error:
        print(f"a run failed: {error!r}", file=sys.stderr)
        return 2
    mixed = sum(one.mixed for one in found)
    foreign, missing = (sum(getattr(one, name) for one in found) for name in ("foreign", "missing"))
    print(f"{mixed} of {len(found)} traces are mixed: {foreign} spans of other runs, {missing} spans missing")
    return 1 if mixed else 0


def check(url: str, runs: int) -> list[Found]:
    """Send so many runs at once, and look at each trace that comes back."""
    with ThreadPoolExecutor(runs) as pool:
        return list(pool.map(lambda _: _run(url), range(runs)))


def _run(url: str) -> Found:
    run_id = uuid.uuid4().hex
    body = json.dumps({"run_id": run_id}).encode()
    request = urllib.request.Request(f"{url.rstrip('/')}/api/v1/run", body, {"Content-Type": "application/json"})  # noqa: S310 - the address that the caller gave
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 - the same
        spans: list[dict[str, Any]] = json.load(answer)["spans"]
    own = sum(span["run_id"] == run_id for span in spans)
    return Found(foreign=len(spans) - own, missing=max(0, SPANS - own))


if __name__ == "__main__":
    sys.exit(main())
