"""Benchmark of the probe's cost for a small ASGI service: `make bench-probe`. Prints the tables of docs/probe.md.

Each variant is the same program in a process of its own. The variants take turns, so that other load on the machine
affects all of them. Of the time slices of a run, the best one counts. A figure is a ratio to the median without the
probe: the median of the rounds, and in brackets the lowest and the highest. Full collections and snapshots are made
each second instead of each minute, so that they take the maximum ratio of the time.
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
VARIANTS: dict[str, tuple[str, dict[str, str]]] = {
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


def run(variant: str, load: tuple[str, str]) -> dict[str, float]:
    tracing, settings = VARIANTS[variant]
    command = [sys.executable, "-m", "tests.bench.probe.service", variant, tracing, *load]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "probe")]), **settings}
    done = subprocess.run(command, env=env, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def run_rounds(load: tuple[str, str]) -> list[Round]:
    rounds = []
    for number in range(ROUNDS):
        sys.stderr.write(f"round {number + 1} of {ROUNDS}\n")
        variants = list(VARIANTS) if number % 2 == 0 else list(reversed(VARIANTS))
        rounds.append({variant: run(variant, load) for variant in variants})
    return rounds


def print_table(title: str, rounds: list[Round]) -> None:
    print(f"\n{title}\n\n| variant | {' | '.join(FIGURES)} |\n|---|{'---|' * len(FIGURES)}")
    base = {key: statistics.median(r["without"][key] for r in rounds) for key in FIGURES.values()}
    for variant in VARIANTS:
        cells = [_format_cell([r[variant][key] / base[key] for r in rounds]) for key in FIGURES.values()]
        print(f"| {variant} | {' | '.join(cells)} |")
    print(f"\nWithout: {base['requests_per_s']:.0f} requests/s, {base['rss_bytes'] / 2**20:.0f} MiB,", end=" ")
    print(f"p50 {base['p50_s'] * 1e3:.2f} ms, p99 {base['p99_s'] * 1e3:.2f} ms. {ROUNDS} rounds.")


def _format_cell(ratios: list[float]) -> str:
    """Return the median, and in brackets the lowest and the highest round."""
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"


def main() -> None:
    for title, load in LOADS.items():
        print_table(title, run_rounds(load))


if __name__ == "__main__":
    main()
