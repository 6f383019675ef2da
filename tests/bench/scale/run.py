"""One run: the fleet is written, the operator is started, and measured for some intervals after its first sweep."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import AsyncExitStack, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import aiohttp

from tests.bench.scale import api, backfill, control_plane, fleet, operator_process, population, query_log
from tests.bench.scale.edits import edit_some
from tests.bench.scale.observer import NO_ANSWER, Observer
from tests.bench.scale.operator_process import Servers
from tests.bench.scale.processes import free_port, usage_of
from tests.bench.scale.report import Figures, Observed, Snapshot, compute
from tests.bench.scale.traffic import COUNTS_PATH, Traffic

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from localcluster.progress import Reporter
    from tests.bench.scale.api import BenchApi
    from tests.bench.scale.control_plane import ControlPlane
    from tests.bench.scale.fleet import Fleet
    from tests.bench.scale.options import Options
    from tests.bench.scale.programs import Programs

CRDS = operator_process.ROOT / "deploy/crds"
READY_S = 60
POLL_S = 1.0
KILLED = -9


class OperatorDiedError(Exception):
    """The operator ended by itself: out of memory, for example."""


@dataclass
class Bench:
    """Running servers, operator and observer."""

    options: Options
    fleet: Fleet
    plane: ControlPlane
    servers: Servers
    operator: subprocess.Popen[bytes]
    observer: Observer
    api: BenchApi
    report: Reporter
    observing: asyncio.Task[None] | None = None

    async def snapshot(self) -> Snapshot:
        pids = self.plane.pids | {"operator": self.operator.pid}
        return Snapshot(
            time_s=time.time(),  # noqa: TID251 - a benchmark of real time
            api=await self._counts(self.servers.api_url),
            prometheus=await self._counts(self.servers.prometheus_url),
            usage={name: usage_of(pid) for name, pid in pids.items()},
            query_log_bytes=query_log.size(self.plane.query_log),
            scrape=await self.observer.scrape(),
        )

    async def _counts(self, url: str) -> Traffic:
        async with self.observer.session.get(url + COUNTS_PATH) as response:
            return Traffic.from_dict(await response.json())

    def require_operator(self) -> None:
        """Raise if the operator has ended, or the observer with an error."""
        code = self.operator.poll()
        if code is not None:
            cause = ": out of memory" if code == KILLED else ""
            raise OperatorDiedError(f"the operator ended with code {code}{cause}")
        if self.observing is not None and self.observing.done():
            self.observing.result()


async def measure(options: Options, programs: Programs, folder: Path, report: Reporter) -> Figures:
    """Run the benchmark in this folder, and return its figures."""
    built = fleet.build(options)
    now_s = int(time.time())  # noqa: TID251 - a benchmark of real time
    report(f"back-filling {2 * options.size} containers, a scrape each {options.scrape_s} s")
    history = backfill.History(built, now_s, options.scrape_s, options.ahead_s)
    count = await asyncio.to_thread(backfill.write, history, programs.tsdb, folder / "samples")
    report(f"wrote {count / 1e6:.0f} million samples")
    with control_plane.started(programs, folder, folder / "samples") as plane:
        async with api.connect(plane.api_url) as client:
            await _populate(client, built, options, now_s, report)
            return await _with_operator(options, built, plane, folder, client, report)


async def _populate(client: BenchApi, built: Fleet, options: Options, now_s: int, report: Reporter) -> None:
    await population.write_definitions(client, sorted(CRDS.glob("*.yaml")))
    await population.write_fleet(client, built, options.rolls, datetime.fromtimestamp(now_s, UTC))
    await population.write_policies(client, built, options.interval_s)
    report(f"created {options.size} pods, {len(built.policies)} policies, {options.rolls} PodRolls")


async def _with_operator(
    options: Options, built: Fleet, plane: ControlPlane, folder: Path, client: BenchApi, report: Reporter
) -> Figures:
    async with AsyncExitStack() as stack:
        servers = Servers(
            control_plane.start_proxy(stack, "api", plane.api_url, folder),
            control_plane.start_proxy(stack, "prometheus", plane.prometheus_url, folder),
            free_port(),
        )
        limit = operator_process.limit_bytes(options.memory)
        process = stack.enter_context(operator_process.started(servers, folder, limit))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        observer = Observer(session, f"http://127.0.0.1:{servers.http_port}", process.pid)
        bench = Bench(options, built, plane, servers, process, observer, client, report)
        await _wait_ready(bench)
        bench.observing = asyncio.create_task(observer.run())
        try:
            return await _observe(bench)
        finally:
            bench.observing.cancel()
            with suppress(asyncio.CancelledError):
                await bench.observing


async def _wait_ready(bench: Bench) -> None:
    deadline_s = time.monotonic() + READY_S
    while time.monotonic() < deadline_s:
        bench.require_operator()
        with suppress(*NO_ANSWER):
            if (await bench.observer.get("/healthz")).startswith("ok"):
                return
        await asyncio.sleep(0.2)
    raise OperatorDiedError(f"the operator is not healthy after {READY_S} s")


async def _observe(bench: Bench) -> Figures:
    options, since_s = bench.options, time.time()  # noqa: TID251 - a benchmark of real time
    sweep_s = await _wait_first_sweep(bench)
    before = await bench.snapshot()
    bench.observer.start()
    seconds = options.intervals * options.interval_s
    bench.report(f"measuring for {seconds} s")
    keys = bench.fleet.policies
    edited = keys[:: max(1, len(keys) // max(1, options.edits))][: options.edits]
    editing = asyncio.create_task(edit_some(bench.api, edited, options.interval_s, seconds))
    await _wait(bench, seconds)
    edits_s = await editing
    after = await bench.snapshot()
    observer = bench.observer
    logged = query_log.count_between(bench.plane.query_log, before.query_log_bytes, after.query_log_bytes)
    observed = Observed(
        before=before,
        after=after,
        policies=keys,
        pods=options.size,
        since_s=since_s,
        sweep_s=sweep_s,
        reconciled_in_sweep=len(before.scrape.reconciled),
        lags_s=observer.lags_s,
        scrapes=observer.scrapes,
        losses=observer.losses,
        leaderless_s=observer.leaderless_s,
        peak_bytes=max(observer.peak_bytes, after.usage["operator"].peak_bytes),
        edits_s=edits_s,
        queries_logged=logged[0],
        samples_logged=logged[1],
        rolls_created=after.api.counts["create podrolls"].requests if "create podrolls" in after.api.counts else 0,
    )
    return compute({**asdict(options), "json_file": None}, observed)


async def _wait_first_sweep(bench: Bench) -> float | None:
    """Wait until each policy has a reconcile; return the seconds, or None if the time is over before."""
    start_s, wanted = time.monotonic(), set(bench.fleet.policies)
    while time.monotonic() < start_s + bench.options.max_sweep_s:
        bench.require_operator()
        scrapes = bench.observer.scrapes
        if scrapes and wanted <= scrapes[-1].reconciled:
            bench.report(f"all {len(wanted)} policies reconciled for the first time")
            return time.monotonic() - start_s
        await asyncio.sleep(POLL_S)
    reconciled = bench.observer.scrapes[-1].reconciled if bench.observer.scrapes else set()
    bench.report(f"{len(reconciled)} of {len(wanted)} policies reconciled in {bench.options.max_sweep_s} s")
    return None


async def _wait(bench: Bench, seconds: float) -> None:
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        bench.require_operator()
        await asyncio.sleep(min(POLL_S, max(0.0, end_s - time.monotonic())))


def write_json(figures: Figures, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(figures.to_dict(), indent=2) + "\n")
