"""One small ASGI service under load in this process; its figures go to standard output as JSON.

A request parses 2 KiB of JSON, makes objects of it, keeps the last 20,000 in a bounded cache, and answers with JSON.
The service holds 200,000 objects from its start, as one that loaded a framework does.
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

BODY = json.dumps(
    {"user": "ann", "messages": [{"role": "user", "content": f"message {n} " * 3} for n in range(40)]}
).encode()
MOST_KEPT = 20_000
WARM_REQUESTS = MOST_KEPT + 2_000
READY_WITHIN_S = 120.0


class Message:
    def __init__(self, role: str, content: str) -> None:
        self.role, self.content, self.words = role, content, content.split()


class App:
    def __init__(self) -> None:
        self.furniture = [{"number": [n]} for n in range(100_000)]
        self.kept: OrderedDict[int, Message] = OrderedDict()
        self.number = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = json.loads((await receive())["body"])
        messages = [Message(m["role"], m["content"]) for m in body["messages"]]
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
    await asyncio.sleep(0)  # a server would write here


async def request(app: Any) -> None:
    await app({"type": "http", "method": "POST", "path": "/chat", "query_string": b"", "headers": []}, receive, send)


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()


async def measure(app: Any, requests: int) -> dict[str, float]:
    taken_s = []
    began, cpu_began = time.perf_counter(), time.process_time()
    for _ in range(requests):
        at = time.perf_counter()
        await request(app)
        taken_s.append(time.perf_counter() - at)
    cuts = statistics.quantiles(taken_s, n=100)
    return {
        "requests_per_s": requests / (time.perf_counter() - began),
        "cpu_s": (time.process_time() - cpu_began) / requests,
        "p50_s": cuts[49],
        "p99_s": cuts[98],
        "rss_bytes": resident_bytes(),
    }


async def ready(app: Any, tracing: str) -> None:
    """Fill the cache and wait until the probe has its baseline."""
    for _ in range(WARM_REQUESTS):
        await request(app)
    if tracing == "traced":
        from memroll_probe.watch import current  # noqa: PLC0415 - only where the probe is on

        async with asyncio.timeout(READY_WITHIN_S):
            while current().tracing.baseline is None:
                await request(app)


async def main(way: str, tracing: str, requests: int) -> None:
    bare = app = App()
    if way != "without":
        from memroll_probe.asgi import Probe  # noqa: PLC0415 - only where the service has it

        app = Probe(bare)  # type: ignore[assignment] # the same interface
    gc.collect()
    await ready(app, tracing)
    sys.stdout.write(json.dumps(await measure(app, requests)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
