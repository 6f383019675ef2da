"""The systems, served as in a pod, and visited by the load script."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
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
    """Start all systems, and tracing-race without the leak; yield the address of each by name."""
    services = {name: (module, {}) for name, module in MODULES.items()}
    services["tracing-race-context"] = ("tracing_race", {"TRACING": "context"})
    processes, addresses = [], {}
    for name, (module, more) in services.items():
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


@pytest.mark.parametrize("deployment", [s.deployments[0] for s in SYSTEMS.values()], ids=lambda d: d.name)
def test_a_visit_succeeds_and_the_resident_memory_is_exported(served, deployment):
    for _ in range(3):
        users.visit(f"{served[deployment.name]}{deployment.visit}")
    assert gauge(served[deployment.name], "process_resident_memory_bytes") > 2**20


@pytest.mark.parametrize(
    ("name", "kept", "count"),
    [
        ("langflow-like", "flow_cached_components", 5),
        ("agent-like", "agent_subscribers", 1),
        ("chatchat-like", "chat_turns", 1),
    ],
)
def test_each_visit_leaves_something_behind(served, name, kept, count):
    deployment = SYSTEMS[name].deployments[0]
    before = gauge(served[name], kept)
    users.visit(f"{served[name]}{deployment.visit}")
    assert gauge(served[name], kept) == before + count


def test_the_chat_server_reports_its_memory_usage(served):
    users.visit(f"{served['chatchat-like']}chat")
    usage = json.loads(get(f"{served['chatchat-like']}memory"))
    assert usage["turnBytes"] > 48 * 1024
    assert usage["documents"] >= 1
    assert usage["documentBytes"] > 48 * 1024


def test_a_burst_creates_as_many_workspaces_as_it_has_runs(served):
    address = served["agent-like"]
    users.post(f"{address}runs", tasks=["one", "two", "three"])
    assert gauge(address, "agent_workspaces") >= 3


def test_a_nonexistent_flow_is_an_error(served):
    with pytest.raises(urllib.error.HTTPError) as refused:
        users.post(f"{served['langflow-like']}api/v1/run/nothing", session_id="s", input_value="q")
    with refused.value as error:
        assert error.code == 404


@pytest.mark.parametrize(("name", "code"), [("tracing-race", 1), ("tracing-race-context", 0)])
def test_the_check_distinguishes_mixed_and_separate_traces(served, name, code, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["check", served[name]])
    assert check.main() == code
    output = capsys.readouterr().out
    assert (output == "0 of 20 traces are mixed: 0 spans of other runs, 0 spans missing\n") is (code == 0)


def test_a_check_without_a_server_has_its_own_exit_code(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["check", f"http://127.0.0.1:{free_port()}/", "--runs", "2"])
    assert check.main() == 2
    assert "a run failed" in capsys.readouterr().err


def test_the_load_visits_each_target_at_its_rate_and_counts_failures(served):
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
