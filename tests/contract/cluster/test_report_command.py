"""`memroll report` as a process, against a fake API server."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from memroll import clock
from tests import report_objects
from tests.builders import NOW
from tests.contract.cluster.fake_api import Fault

if TYPE_CHECKING:
    from tests.contract.cluster.fake_api import FakeApi

ROOT = Path(__file__).parents[3]
KINDS = "/apis/memroll.dev/v1alpha1/namespaces/ai/"


@pytest.fixture
def reported_objects(server: FakeApi) -> FakeApi:
    for plural, objects in (("memorypolicies", report_objects.policies()), ("podrolls", report_objects.rolls())):
        for obj in objects:
            server.add(f"{KINDS}{plural}", report_objects.shift_times(obj, clock.now() - NOW))
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


async def test_a_namespace_is_reported_as_a_table(reported_objects: FakeApi, kubeconfig: str) -> None:
    code, out, err = await report(kubeconfig, "-n", "ai")
    assert (code, err) == (0, "")
    assert "Deployment/chat" in out
    assert {path.partition("?")[0] for path in reported_objects.calls("GET")} == {
        f"{KINDS}memorypolicies",
        f"{KINDS}podrolls",
    }


async def test_the_current_context_s_namespace_is_the_default(reported_objects: FakeApi, kubeconfig: str) -> None:
    code, out, _ = await report(kubeconfig)
    assert (code, out.startswith("No leak observed.")) == (0, True)
    assert all("/namespaces/default/" in path for path in reported_objects.calls("GET"))


async def test_all_namespaces_are_reported_as_json(reported_objects: FakeApi, kubeconfig: str) -> None:
    code, out, _ = await report(kubeconfig, "-A", "-o", "json")
    assert code == 0
    assert [s["workload"] for s in json.loads(out)["services"]] == ["Deployment/chat", "StatefulSet/agent"]
    assert not any("/namespaces/" in path for path in reported_objects.calls("GET"))


async def test_the_file_suffix_selects_the_format(reported_objects: FakeApi, kubeconfig: str, tmp_path: Path) -> None:
    code, out, _ = await report(kubeconfig, "-n", "ai", "--write", str(tmp_path / "leaks.html"))
    assert (code, out) == (0, "")
    assert (tmp_path / "leaks.html").read_text().startswith("<!DOCTYPE html>")


async def test_invalid_objects_are_skipped_and_counted(reported_objects: FakeApi, kubeconfig: str) -> None:
    reported_objects.add(f"{KINDS}podrolls", {"metadata": {"name": "odd"}, "spec": {"podName": 7}})
    code, out, err = await report(kubeconfig, "-n", "ai")
    assert (code, "Deployment/chat" in out) == (0, True)
    assert err == "memroll report: skipped invalid PodRolls: 1\n"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--write", "/nowhere/x.html"], 2, "must be a file in a folder that exists"),
        (["-n", "ai", "-A"], 2, "not allowed with argument"),
        (["--since", "soon"], 2, "must be days such as 14d"),
        (["-n", "ai"], 1, "injected"),
    ],
)
async def test_every_failure_has_its_exit_code(
    reported_objects: FakeApi, kubeconfig: str, arguments: list[str], code: int, message: str
) -> None:
    reported_objects.faults.append(Fault("403", times=9))
    got, out, err = await report(kubeconfig, *arguments)
    assert (got, out) == (code, "")
    assert message in err
