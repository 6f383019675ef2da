"""One small ASGI service under load in this process; its figures go to standard output as JSON.

A request parses 3 KiB of JSON, makes objects of it, keeps one of them in a bounded cache, and answers with JSON: some
600 allocations and nothing else, which is the worst that can be done to tracemalloc. The service holds 200,000 objects
from its start, as one that loaded a framework does. Tracing starts late, when all of this is there.
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
MOST_KEPT = 5_000
READY_WITHIN_S = 60.0
SLICES, SLICE_S = 12, 0.25
REQUESTS_LEAST = 10
"""A slice that the machine slept through goes on until it has as many."""


class Message:
    def __init__(self, role: str, content: str) -> None:
        self.role, self.content, self.words = role, content, content.split()


class App:
    def __init__(self, wait_s: float) -> None:
        self.furniture = [{"number": [n]} for n in range(100_000)]
        self.kept: OrderedDict[int, Message] = OrderedDict()
        self.number, self.wait_s = 0, wait_s

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = json.loads((await receive())["body"])
        messages = [Message(m["role"], m["content"]) for m in body["messages"]]
        await asyncio.sleep(self.wait_s)  # the model answers
        self.number += 1
        self.kept[self.number] = messages[0]
        if len(self.kept) > MOST_KEPT:
            self.kept.popitem(last=False)
        answer = json.dumps({"words": [len(m.words) for m in messages]}).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": answer})


async def receive() -> Any:
    return {"type": "http.request", "body": BODY, "more_body": False}


async def send(_: Any) -> None:
    """Take the answer, as a server would."""


async def request(app: Any) -> None:
    await app({"type": "http", "method": "POST", "path": "/chat", "query_string": b"", "headers": []}, receive, send)


async def client(app: Any, until: float, taken_s: list[float]) -> None:
    while (began := time.perf_counter()) < until or len(taken_s) < REQUESTS_LEAST:
        await request(app)
        taken_s.append(time.perf_counter() - began)


async def measure(app: Any, clients: int) -> dict[str, float]:
    """Return the best slice, figure by figure: the others tell what else the machine did."""
    slices = [await measure_slice(app, clients) for _ in range(SLICES)]
    best = {name: min(s[name] for s in slices) for name in slices[0]}
    return {**best, "requests_per_s": max(s["requests_per_s"] for s in slices), "rss_bytes": resident_bytes()}


async def measure_slice(app: Any, clients: int) -> dict[str, float]:
    taken_s: list[float] = []
    began, cpu_began = time.perf_counter(), time.process_time()
    await asyncio.gather(*(client(app, began + SLICE_S, taken_s) for _ in range(clients)))
    cuts = statistics.quantiles(taken_s, n=100)
    return {
        "requests_per_s": len(taken_s) / (time.perf_counter() - began),
        "cpu_s": (time.process_time() - cpu_began) / len(taken_s),
        "p50_s": cuts[49],
        "p99_s": cuts[98],
    }


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()


async def start_tracing(app: Any) -> None:
    """Start as a person would, and serve until the probe has its baseline."""
    from memroll_probe.here import current  # noqa: PLC0415 - only where the probe is on

    current().looker.start_tracing()
    current().look_again()
    async with asyncio.timeout(READY_WITHIN_S):
        while current().tracing.baseline is None:
            await request(app)
            await asyncio.sleep(0)


async def main(way: str, *, traced: bool, clients: int, wait_s: float) -> None:
    bare = app = App(0.0)
    if way != "without":
        from memroll_probe.asgi import Probe  # noqa: PLC0415 - only where the service has it

        app = Probe(bare)  # type: ignore[assignment] # the same interface
    for _ in range(MOST_KEPT):
        await request(app)
    gc.collect()
    if traced:
        await start_tracing(app)
    bare.wait_s = wait_s
    sys.stdout.write(json.dumps(await measure(app, clients)))


if __name__ == "__main__":
    way, traced, clients, wait_s = sys.argv[1:]
    asyncio.run(main(way, traced=traced == "traced", clients=int(clients), wait_s=float(wait_s)))
