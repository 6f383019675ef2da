"""Check whether concurrent runs have separate traces: `python -m memroll_systems.tracing_race.check URL`.

Exit code 0 if each run has its own spans and no others, 1 if they are mixed, 2 if a run failed.
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
class TraceCheck:
    """Number of foreign and of missing spans in the trace of one run."""

    foreign: int
    missing: int

    @property
    def mixed(self) -> bool:
        return bool(self.foreign or self.missing)


def main() -> int:
    parser = argparse.ArgumentParser("memroll_systems.tracing_race.check", description=__doc__)
    parser.add_argument("url", help="URL of the server")
    parser.add_argument("--runs", type=int, default=20, help="number of concurrent runs")
    arguments = parser.parse_args()
    try:
        traces = check(arguments.url, arguments.runs)
    except (OSError, http.client.HTTPException, ValueError) as error:
        print(f"a run failed: {error!r}", file=sys.stderr)
        return 2
    mixed = sum(trace.mixed for trace in traces)
    foreign, missing = (sum(getattr(trace, name) for trace in traces) for name in ("foreign", "missing"))
    print(f"{mixed} of {len(traces)} traces are mixed: {foreign} spans of other runs, {missing} spans missing")
    return 1 if mixed else 0


def check(url: str, runs: int) -> list[TraceCheck]:
    """Start this many runs concurrently, and check each returned trace."""
    with ThreadPoolExecutor(runs) as pool:
        return list(pool.map(lambda _: _run(url), range(runs)))


def _run(url: str) -> TraceCheck:
    run_id = uuid.uuid4().hex
    body = json.dumps({"run_id": run_id}).encode()
    request = urllib.request.Request(f"{url.rstrip('/')}/api/v1/run", body, {"Content-Type": "application/json"})  # noqa: S310 - the URL is an argument of the caller
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:  # noqa: S310 - the same
        spans: list[dict[str, Any]] = json.load(response)["spans"]
    own = sum(span["run_id"] == run_id for span in spans)
    return TraceCheck(foreign=len(spans) - own, missing=max(0, SPANS - own))


if __name__ == "__main__":
    sys.exit(main())
