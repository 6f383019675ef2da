"""What the probe costs a small ASGI service: `make bench-probe`.

Each way is the same program in a process of its own, in turns, so that what else the machine does meets all of them. Of
its slices of time the best counts. A figure is a ratio to the median without the probe: the median of the rounds, and
in brackets the lowest and the highest. The census and the looks at the traces come each second instead of each minute,
so that they take the share of the time that they may.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
ROUNDS = int(os.environ.get("ROUNDS", "5"))

ON = {"MEMROLL_PROBE": "1", "MEMROLL_PROBE_INTERVAL_SECONDS": "1", "MEMROLL_PROBE_SETTLE_SECONDS": "0"}
WAYS: dict[str, tuple[str, dict[str, str]]] = {
    "without": ("plain", {}),
    "switched off": ("plain", {}),
    "on, not tracing": ("plain", ON),
    **{f"tracing, {n} frame{'s' * (n > 1)}": ("traced", {**ON, "MEMROLL_PROBE_FRAMES": str(n)}) for n in (1, 5, 25)},
}
LOADS = {
    "It only allocates: one request after the other": ("1", "0"),
    "It waits 20 ms for its model: 8 requests at once": ("8", "0.02"),
}
FIGURES = {
    "throughput": "requests_per_s",
    "CPU a request": "cpu_s",
    "latency p50": "p50_s",
    "latency p99": "p99_s",
    "resident memory": "rss_bytes",
}
Round = dict[str, dict[str, float]]


def run(way: str, load: tuple[str, str]) -> dict[str, float]:
    tracing, settings = WAYS[way]
    command = [sys.executable, "-m", "tests.bench.probe.service", way, tracing, *load]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "probe")]), **settings}
    done = subprocess.run(command, env=env, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def rounds_of(load: tuple[str, str]) -> list[Round]:
    rounds = []
    for number in range(ROUNDS):
        sys.stderr.write(f"round {number + 1} of {ROUNDS}\n")
        ways = list(WAYS) if number % 2 == 0 else list(reversed(WAYS))
        rounds.append({way: run(way, load) for way in ways})
    return rounds


def show(title: str, rounds: list[Round]) -> None:
    print(f"\n{title}\n\n| | {' | '.join(FIGURES)} |\n|---|{'---|' * len(FIGURES)}")
    base = {key: statistics.median(r["without"][key] for r in rounds) for key in FIGURES.values()}
    for way in WAYS:
        cells = [_cell([r[way][key] / base[key] for r in rounds]) for key in FIGURES.values()]
        print(f"| {way} | {' | '.join(cells)} |")
    print(f"\nWithout: {base['requests_per_s']:.0f} requests/s, {base['rss_bytes'] / 2**20:.0f} MiB,", end=" ")
    print(f"p50 {base['p50_s'] * 1e3:.2f} ms, p99 {base['p99_s'] * 1e3:.2f} ms. {ROUNDS} rounds.")


def _cell(ratios: list[float]) -> str:
    """Return the median, and in brackets the lowest and the highest round."""
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"


def main() -> None:
    for title, load in LOADS.items():
        show(title, rounds_of(load))


if __name__ == "__main__":
    main()
