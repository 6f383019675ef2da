"""`memroll report` as a person runs it, against a server that speaks like the API server."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from memroll import clock
from tests import reported
from tests.builders import NOW
from tests.contract.cluster.fake_api import Fault

if TYPE_CHECKING:
    from tests.contract.cluster.fake_api import FakeApi

ROOT = Path(__file__).parents[3]
KINDS = "/apis/memroll.dev/v1alpha1/namespaces/ai/"


@pytest.fixture
def told(server: FakeApi) -> FakeApi:
    for plural, objects in (("memorypolicies", reported.policies()), ("podrolls", reported.rolls())):
        for obj in objects:
            server.add(f"{KINDS}{plural}", reported.moved(obj, clock.now() - NOW))
    return server


async def report(kubeconfig: str, *arguments: str) -> tuple[int, str, str]:
    environment = {k: v for k, v in os.environ.items() if k != "KUBERNETES_SERVICE_HOST"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "memroll", "report", *arguments,
        env=environment | {"KUBECONFIG": kubeconfig, "PYTHONPATH": str(ROOT / "operator")},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_a_namespace_is_reported_as_a_table(told: FakeApi, kubeconfig: str) -> None:
    code, out, err = await report(kubeconfig, "-n", "ai")
    assert (code, err) == (0, "")
    assert "Deployment/chat" in out
    assert {path.partition("?")[0] for path in told.calls("GET")} == {f"{KINDS}memorypolicies", f"{KINDS}podrolls"}


async def test_the_current_context_s_namespace_is_the_default(told: FakeApi, kubeconfig: str) -> None:
    code, out, _ = await report(kubeconfig)
    assert (code, out.startswith("No leak was seen.")) == (0, True)
    assert all("/namespaces/default/" in path for path in told.calls("GET"))


async def test_all_namespaces_are_reported_as_json(told: FakeApi, kubeconfig: str) -> None:
    code, out, _ = await report(kubeconfig, "-A", "-o", "json")
    assert code == 0
    assert [s["workload"] for s in json.loads(out)["services"]] == ["Deployment/chat", "StatefulSet/agent"]
    assert not any("/namespaces/" in path for path in told.calls("GET"))


async def test_a_file_s_name_says_its_format(told: FakeApi, kubeconfig: str, tmp_path: Path) -> None:
    code, out, _ = await report(kubeconfig, "-n", "ai", "--write", str(tmp_path / "leaks.html"))
    assert (code, out) == (0, "")
    assert (tmp_path / "leaks.html").read_text().startswith("<!DOCTYPE html>")


async def test_what_can_t_be_read_is_left_out_and_counted(told: FakeApi, kubeconfig: str) -> None:
    told.add(f"{KINDS}podrolls", {"metadata": {"name": "odd"}, "spec": {"podName": 7}})
    code, out, err = await report(kubeconfig, "-n", "ai")
    assert (code, "Deployment/chat" in out) == (0, True)
    assert err == "memroll report: 1 PodRolls can't be read and are left out\n"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--write", "/nowhere/x.html"], 2, "must be a file in a folder that exists"),
        (["-n", "ai", "-A"], 2, "not allowed with argument"),
        (["--since", "soon"], 2, "must be days such as 14d"),
        (["-n", "ai"], 1, "injected"),
    ],
)
async def test_what_goes_wrong_has_its_exit_code(
    told: FakeApi, kubeconfig: str, arguments: list[str], code: int, words: str
) -> None:
    told.faults.append(Fault("403", times=9))
    got, out, err = await report(kubeconfig, *arguments)
    assert (got, out) == (code, "")
    assert words in err
