"""Observes the operator from outside while it runs: loop lag, leadership, age of the last reconciles, memory."""

from __future__ import annotations

import asyncio
import re
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import aiohttp

from tests.bench.scale.processes import usage_of

if TYPE_CHECKING:
    from collections.abc import Iterable

LAG_PERIOD_S = 0.2
"""Time between two requests to /healthz, which the operator's event loop answers: the time of an answer is its lag."""
LEADER_PERIOD_S = 1.0
SCRAPE_PERIOD_S = 15.0
SUCCEEDED = "Succeeded"
NO_ANSWER = (aiohttp.ClientError, TimeoutError, OSError)
"""Errors of an operator that has just started, or has ended."""
_LINE = re.compile(r"^(memroll_[a-z_]+)(?:\{(.*)\})? ([-+0-9.eE]+)$")
_LABEL = re.compile(r'(\w+)="([^"]*)"')

Key = tuple[str, str]
Sample = tuple[str, dict[str, str], float]


def parse_metrics(text: str) -> list[Sample]:
    """Return name, labels and value of each of memroll's metrics. Their labels need no unescaping."""
    matches = (_LINE.match(line) for line in text.splitlines())
    return [(m[1], dict(_LABEL.findall(m[2] or "")), float(m[3])) for m in matches if m]


@dataclass(frozen=True)
class Scrape:
    """Metrics of the operator at one instant."""

    time_s: float
    samples: list[Sample]

    def values(self, name: str, **labels: str) -> dict[Key, float]:
        """Return the values of a metric by policy."""
        return {
            (found.get("namespace", ""), found.get("policy", "")): value
            for metric, found, value in self.samples
            if metric == name and labels.items() <= found.items()
        }

    @property
    def reconciles(self) -> dict[Key, float]:
        return self.values("memroll_reconcile_total", result=SUCCEEDED)

    @property
    def failed_reconciles(self) -> float:
        errors = (v for m, f, v in self.samples if m == "memroll_reconcile_total" and f.get("result") != SUCCEEDED)
        return sum(errors)

    @property
    def prometheus_samples(self) -> float:
        return sum(v for m, _, v in self.samples if m == "memroll_prometheus_samples_total")

    @property
    def reconciled(self) -> set[Key]:
        return {key for key, count in self.reconciles.items() if count > 0}

    def oldest_reconcile_s(self, policies: Iterable[Key], since_s: float) -> float:
        """Return the age of the oldest last reconcile; of a policy that has none, the time since the policies exist."""
        ends, reconciled = self.values("memroll_last_reconcile_timestamp_seconds"), self.reconciled
        return max(self.time_s - (ends[key] if key in reconciled else since_s) for key in policies)

    def pods(self) -> dict[str, int]:
        """Return the number of pods by verdict."""
        found: dict[str, int] = {}
        for metric, labels, value in self.samples:
            if metric == "memroll_pods":
                found[labels["verdict"]] = found.get(labels["verdict"], 0) + int(value)
        return found


@dataclass
class Observer:
    """Samples of the operator. `start` begins a new window."""

    session: aiohttp.ClientSession
    url: str
    pid: int
    lags_s: list[float] = field(default_factory=list)
    scrapes: list[Scrape] = field(default_factory=list)
    leaderless_s: float = 0.0
    losses: int = 0
    peak_bytes: int = 0

    def start(self) -> None:
        self.lags_s, self.scrapes = [], self.scrapes[-1:]
        self.leaderless_s, self.losses = 0.0, 0

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._measure_lag())
            group.create_task(self._follow_leader())
            group.create_task(self._scrape_often())

    async def get(self, path: str) -> str:
        async with self.session.get(self.url + path) as response:
            return await response.text()

    async def scrape(self) -> Scrape:
        text = await self.get("/metrics")
        found = Scrape(time.time(), parse_metrics(text))  # noqa: TID251 - a benchmark of real time
        self.scrapes.append(found)
        return found

    async def _measure_lag(self) -> None:
        while True:
            before_s = time.monotonic()
            try:
                await self.get("/healthz")
            except NO_ANSWER:
                await asyncio.sleep(LAG_PERIOD_S)
                continue
            self.lags_s.append(time.monotonic() - before_s)
            self.peak_bytes = max(self.peak_bytes, usage_of(self.pid).rss_bytes)
            await asyncio.sleep(LAG_PERIOD_S)

    async def _follow_leader(self) -> None:
        leads = False
        while True:
            try:
                now_leads = not (await self.get("/leader")).startswith("nobody leads")
            except NO_ANSWER:
                now_leads = False
            self.losses += leads and not now_leads
            self.leaderless_s += 0 if now_leads else LEADER_PERIOD_S
            leads = now_leads
            await asyncio.sleep(LEADER_PERIOD_S)

    async def _scrape_often(self) -> None:
        while True:
            with suppress(*NO_ANSWER):
                await self.scrape()
            await asyncio.sleep(SCRAPE_PERIOD_S)
