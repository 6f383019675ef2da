"""The systems as they are served, under the visits of the load script."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from memroll_demo.systems import SYSTEMS
from memroll_systems import users
from memroll_systems.tracing_race import check

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
PATHS = os.pathsep.join(str(ROOT / part) for part in ("examples/systems", "probe"))
ENVIRONMENT = os.environ | {"PYTHONPATH": PATHS, "HOST": "127.0.0.1"}
MODULES = {name: name.replace("-", "_") for name in SYSTEMS}


@pytest.fixture(scope="module")
def served() -> Iterator[dict[str, str]]:
    """Start all systems, and the harmless tracing; yield the address of each by name."""
    wanted = {name: (module, {}) for name, module in MODULES.items()}
    wanted["tracing-race-context"] = ("tracing_race", {"TRACING": "context"})
    processes, addresses = [], {}
    for name, (module, more) in wanted.items():
        port = free_port()
        environment = ENVIRONMENT | more | {"PORT": str(port)}
        command = [sys.executable, "-m", "memroll_systems.serve", module]
        processes.append(subprocess.Popen(command, env=environment))
        addresses[name] = f"http://127.0.0.1:{port}/"
    for address in addresses.values():
        wait_until_it_answers(address)
    yield addresses
    for process in processes:
        process.terminate()
    for process in processes:
        process.wait(20)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def wait_until_it_answers(address: str) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            get(f"{address}healthz")
        except OSError:
            assert time.monotonic() < deadline, f"{address} does not start"
            time.sleep(0.05)
        else:
            return


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


def gauge(address: str, name: str) -> float:
    (line,) = [m for m in get(f"{address}metrics").splitlines() if m.startswith(f"{name} ")]
    return float(line.split()[1])


@pytest.mark.parametrize("member", [s.members[0] for s in SYSTEMS.values()], ids=lambda m: m.name)
def test_a_visit_is_answered_and_the_resident_memory_told(served, member):
    for _ in range(3):
        users.visit(f"{served[member.name]}{member.visit}")
    assert gauge(served[member.name], "process_resident_memory_bytes") > 2**20


@pytest.mark.parametrize(
    ("name", "kept", "count"),
    [
        ("langflow-like", "flow_cached_components", 5),
        ("agent-like", "agent_subscribers", 1),
        ("chatchat-like", "chat_turns", 1),
    ],
)
def test_each_visit_leaves_something_behind(served, name, kept, count):
    member = SYSTEMS[name].members[0]
    before = gauge(served[name], kept)
    users.visit(f"{served[name]}{member.visit}")
    assert gauge(served[name], kept) == before + count


def test_the_chat_server_tells_what_it_keeps(served):
    users.visit(f"{served['chatchat-like']}chat")
    said = json.loads(get(f"{served['chatchat-like']}memory"))
    assert said["turnBytes"] > 48 * 1024
    assert said["documents"] >= 1
    assert said["documentBytes"] > 48 * 1024


def test_a_burst_makes_as_many_workspaces_as_it_has_runs(served):
    address = served["agent-like"]
    users.post(f"{address}runs", tasks=["one", "two", "three"])
    assert gauge(address, "agent_workspaces") >= 3


def test_a_flow_that_does_not_exist_is_a_failure(served):
    with pytest.raises(urllib.error.HTTPError) as refused:
        users.post(f"{served['langflow-like']}api/v1/run/nothing", session_id="s", input_value="q")
    with refused.value as error:
        assert error.code == 404


@pytest.mark.parametrize(("name", "code"), [("tracing-race", 1), ("tracing-race-context", 0)])
def test_the_check_tells_mixed_traces_from_separate_ones(served, name, code, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["check", served[name]])
    assert check.main() == code
    said = capsys.readouterr().out
    assert (said == "0 of 20 traces are mixed: 0 spans of other runs, 0 spans missing\n") is (code == 0)


def test_a_check_that_nobody_answers_says_neither(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["check", f"http://127.0.0.1:{free_port()}/", "--runs", "2"])
    assert check.main() == 2
    assert "a run failed" in capsys.readouterr().err


@contextmanager
def answering(body: str) -> Iterator[str]:
    """Serve one answer to everything, and give the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that http.server uses
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(
    ("visit", "body"),
    [
        pytest.param("flows", '{"session_id": "session-of-another"}', id="another session's answer"),
        pytest.param("chat", 'data: {"text": "I have"}\n\n', id="a stream that is cut off"),
        pytest.param("agent", '{"answers": []}', id="a task without an answer"),
        pytest.param("agents", '{"answers": ["of another task"]}', id="another task's answer"),
    ],
)
def test_a_wrong_answer_is_a_failure(visit, body):
    with answering(body) as address, pytest.raises(users.WrongAnswer):
        users.visit(f"{address}{visit}")


def test_the_load_visits_at_each_target_s_own_rate_and_counts_what_fails(served):
    nobody = f"http://127.0.0.1:{free_port()}/"
    targets = f"flows@40={served['langflow-like']}flows traced@10={served['tracing-race']}traced gone@10={nobody}chat"
    environment = ENVIRONMENT | {"TARGETS": targets, "VISITS": "memroll_systems.users"}
    program = str(ROOT / "examples/demo/service/load.py")
    process = subprocess.Popen([sys.executable, program], env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        totals = [json.loads(process.stdout.readline()) for _ in range(3)][-1]
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    assert totals["flows"]["failures"] == totals["traced"]["failures"] == 0
    assert totals["flows"]["requests"] > 1.5 * totals["traced"]["requests"] > 0
    assert totals["gone"]["kinds"] == {"ConnectionRefusedError": totals["gone"]["requests"]}
