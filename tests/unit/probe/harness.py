"""Minimal ASGI and WSGI servers, probe states with settings, a service in a process of its own, and the examples."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from memroll_probe.http_server import listen
from memroll_probe.settings import ProbeSettings
from memroll_probe.state import ProbeState

ROOT = Path(__file__).parents[3]
PATH = "/debug/memory"


def example(name: str) -> Any:
    """Load an example of docs/probe.md: a program, not a module of a package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / f"probe/examples/{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def state_with(**settings: Any) -> ProbeState:
    return ProbeState(ProbeSettings(enabled=True, **settings), listen)


@dataclass
class Answer:
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def ask(app: Any, path: str = PATH, method: str = "GET", headers: dict[str, str] | None = None) -> Answer:
    """Send one HTTP request as a server would."""
    answer = Answer()

    async def send(message: Any) -> None:
        await asyncio.sleep(0)
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = {k.decode(): v.decode() for k, v in message["headers"]}
        else:
            answer.body += message.get("body", b"")

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    await app(http_scope(path, method, headers or {}), receive, send)
    return answer


def http_scope(path: str, method: str = "GET", headers: dict[str, str] | None = None) -> dict[str, Any]:
    path, _, query = path.partition("?")
    raw = [(k.lower().encode(), v.encode()) for k, v in (headers or {}).items()]
    return {"type": "http", "method": method, "path": path, "query_string": query.encode(), "headers": raw}


def ask_wsgi(app: Any, path: str = PATH, method: str = "GET", **environ: Any) -> Answer:
    """Send one WSGI request as a server would, including `close()`."""
    answer = Answer()

    def start_response(status: str, headers: list[tuple[str, str]], *_: Any) -> None:
        answer.status, answer.headers = int(status.split(maxsplit=1)[0]), dict(headers)

    path, _, query = path.partition("?")
    body = app({"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query, **environ}, start_response)
    try:
        answer.body = b"".join(body)
    finally:
        if hasattr(body, "close"):
            body.close()
    return answer


async def until(condition: Any, within_s: float = 10.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - any condition, not only one that sets an event
            await asyncio.sleep(0.005)


def eventually(condition: Any, within_s: float = 30.0) -> Any:
    """Wait until a condition returns a true value, and return that."""
    deadline = time.monotonic() + within_s
    while not (found := condition()):
        assert time.monotonic() < deadline, "the condition was not met in time"
        time.sleep(0.02)
    return found


class ServiceProcess:
    """Program that serves with `memroll_probe.serve`, prints its port, and runs commands from its standard input."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        assert process.stdout is not None
        self._url = f"http://127.0.0.1:{int(process.stdout.readline())}{PATH}"

    def send_command(self, command: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()

    def get(self, route: str = "") -> Any:
        with urllib.request.urlopen(self._url + route, timeout=20) as answer:
            return answer.read().decode() if route == "/metrics" else json.load(answer)

    def post(self, route: str) -> Any:
        request = urllib.request.Request(self._url + route, method="POST")
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)


def environment(**settings: str) -> dict[str, str]:
    return {"PYTHONPATH": str(ROOT / "probe"), **{f"MEMROLL_PROBE{name}": value for name, value in settings.items()}}


@contextmanager
def service(program: Path, **settings: str) -> Any:
    with subprocess.Popen(
        [sys.executable, str(program)],
        env=environment(**settings),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield ServiceProcess(process)
        finally:
            process.kill()
