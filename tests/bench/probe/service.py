"""Small ASGI service under load in this process. Prints its figures as JSON; started by `tests.bench.probe`.

A request parses 3 KiB of JSON, creates objects from it, keeps one of them in a bounded cache, and responds with JSON:
some 600 allocations and nothing else, which is the worst case for tracemalloc. The service holds 200,000 objects from
its start, as one that loaded a framework does. Tracing starts late, after all of this is allocated.
"""

from __future__ import annotations

import asyncio
import gc
import json
import resource
import statistics
import sys
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any

MESSAGES = [{"role": "user", "content": f"message {n} " * 3} for n in range(40)]
BODY = json.dumps({"user": "ann", "messages": MESSAGES}).encode()
MAX_KEPT = 5_000
READY_WITHIN_S = 60.0
SLICES, SLICE_S = 12, 0.25
MIN_REQUESTS = 10
"""Minimum number of requests of a slice. A slice during which the machine stalled is extended up to it."""


class Message:
    def __init__(self, role: str, content: str) -> None:
        self.role, self.content, self.words = role, content, content.split()


class App:
    def __init__(self, wait_s: float) -> None:
        self.permanent = [{"number": [n]} for n in range(100_000)]
        self.kept: OrderedDict[int, Message] = OrderedDict()
        self.number, self.wait_s = 0, wait_s

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = json.loads((await receive())["body"])
        messages = [Message(m["role"], m["content"]) for m in body["messages"]]
        await asyncio.sleep(self.wait_s)  # the model responds
        self.number += 1
        self.kept[self.number] = messages[0]
        if len(self.kept) > MAX_KEPT:
            self.kept.popitem(last=False)
        answer = json.dumps({"words": [len(m.words) for m in messages]}).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": answer})


async def receive() -> Any:
    return {"type": "http.request", "body": BODY, "more_body": False}


async def send(_: Any) -> None:
    """Accept the response, as a server would."""


async def request(app: Any) -> None:
    await app({"type": "http", "method": "POST", "path": "/chat", "query_string": b"", "headers": []}, receive, send)


async def client(app: Any, until: float, durations_s: list[float]) -> None:
    while (began := time.perf_counter()) < until or len(durations_s) < MIN_REQUESTS:
        await request(app)
        durations_s.append(time.perf_counter() - began)


async def measure(app: Any, clients: int) -> dict[str, float]:
    """Return the best slice of each figure: the others are affected by other load on the machine."""
    slices = [await measure_slice(app, clients) for _ in range(SLICES)]
    best = {name: min(s[name] for s in slices) for name in slices[0]}
    return {**best, "requests_per_s": max(s["requests_per_s"] for s in slices), "rss_bytes": resident_bytes()}


async def measure_slice(app: Any, clients: int) -> dict[str, float]:
    durations_s: list[float] = []
    began, cpu_began = time.perf_counter(), time.process_time()
    await asyncio.gather(*(client(app, began + SLICE_S, durations_s) for _ in range(clients)))
    cuts = statistics.quantiles(durations_s, n=100)
    return {
        "requests_per_s": len(durations_s) / (time.perf_counter() - began),
        "cpu_s": (time.process_time() - cpu_began) / len(durations_s),
        "p50_s": cuts[49],
        "p99_s": cuts[98],
    }


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()


async def start_tracing(app: Any) -> None:
    """Start tracing as the endpoint does, and serve until the probe has its baseline."""
    from memroll_probe.current import current  # noqa: PLC0415 - only where the probe is on

    current().sampler.start_tracing()
    current().wake_sampler()
    async with asyncio.timeout(READY_WITHIN_S):
        while current().tracer.baseline is None:
            await request(app)
            await asyncio.sleep(0)


async def main(variant: str, *, traced: bool, clients: int, wait_s: float) -> None:
    plain = app = App(0.0)
    if variant != "without":
        from memroll_probe.asgi import Probe  # noqa: PLC0415 - only where the service has it

        app = Probe(plain)  # type: ignore[assignment] # the same interface
    for _ in range(MAX_KEPT):
        await request(app)
    gc.collect()
    if traced:
        await start_tracing(app)
    plain.wait_s = wait_s
    sys.stdout.write(json.dumps(await measure(app, clients)))


if __name__ == "__main__":
    variant, traced, clients, wait_s = sys.argv[1:]
    asyncio.run(main(variant, traced=traced == "traced", clients=int(clients), wait_s=float(wait_s)))
