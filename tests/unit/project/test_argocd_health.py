"""The health checks for Argo CD (deploy/argocd), run by a real Lua on statuses that the operator writes.

Argo CD runs Lua 5.1 without its libraries; the scripts use nothing that differs between 5.1 and 5.4.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from memroll.api.pod_roll import Phase
from memroll.clients.prometheus.errors import QueryErrorReason
from memroll.errors import BoundExceededError, InternalError, PrometheusUnavailableError, TerminalError
from memroll.planning.gate_result import Gate
from memroll.planning.misconfiguration import Misconfiguration, MisconfigurationReason
from memroll.planning.plan import Blocked, Plan
from memroll.reporting.outcome import Outcome
from memroll.reporting.status import build_status
from tests.builders import NOW, candidate, policy, policy_json, roll_json
from tests.texts import ROOT

PATCH = yaml.safe_load((ROOT / "deploy/argocd/argocd-cm.yaml").read_text(encoding="utf-8"))
KEY = "resource.customizations.health.memroll.dev_"
WITHOUT_LIBRARIES = "io, os, string, table, math, coroutine, debug, package, require, utf8 = nil\n"
DOWN = PrometheusUnavailableError(QueryErrorReason.UNREACHABLE, "prometheus can't be resolved")
BUG = InternalError(ValueError("unexpected"), 30.0)
INVALID = TerminalError("ConnectionNotFound", "there is no connection 'eu'")
BEYOND = BoundExceededError("WindowTooLong", "spec.growth.window is 60h")
USELESS = Misconfiguration(MisconfigurationReason.BUDGET_IS_ZERO, "a budget permits no roll")
HELD = Plan((), (Blocked(candidate(is_held_at_limit=True), Gate.POD_NOT_READY, "the pod is not Ready"),))


@pytest.fixture(scope="session")
def lua() -> str:
    path = next(filter(None, map(shutil.which, ("lua5.1", "lua5.4", "lua"))), None)
    if path is None and os.environ.get("CI"):
        pytest.fail("there is no lua: install the Debian package lua5.4")
    return path or pytest.skip("there is no lua")


def literal(value: Any) -> str:
    """Return a value of JSON as Lua source, as Argo CD passes it to a script."""
    match value:
        case dict():
            return "{" + ", ".join(f"[{literal(k)}] = {literal(v)}" for k, v in value.items()) + "}"
        case list():
            return "{" + ", ".join(map(literal, value)) + "}"
        case bool():
            return str(value).lower()
        case str():
            return '"' + "".join(f"\\{byte:03}" for byte in value.encode()) + '"'
    return str(value)


def health(lua: str, kind: str, obj: dict[str, Any]) -> tuple[str, str]:
    script = f"local obj = {literal(obj)}\nlocal show = print\n{WITHOUT_LIBRARIES}"
    script += f"local function check()\n{PATCH['data'][KEY + kind]}\nend\n"
    script += "local found = check()\nshow(found.status)\nshow(found.message)\n"
    done = subprocess.run([lua, "-"], input=script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    status, _, message = done.stdout.rstrip("\n").partition("\n")
    return status, message


def reconciled(pods: int = 1, spec: dict[str, Any] | None = None, **parts: Any) -> dict[str, Any]:
    """Return a policy with the status that the operator writes after a reconcile."""
    found = policy(**(spec or {}))
    status = build_status(Outcome(found, NOW, pods, **parts))
    return policy_json({"mode": "Enforce"} | (spec or {})) | {"status": status.to_dict()}


@pytest.mark.parametrize(
    ("obj", "expected"),
    [
        (reconciled(), ("Healthy", "watching 1 pod: 0 healthy, 1 inconclusive (no watched container)")),
        (reconciled(plan=HELD), ("Healthy", "watching 1 pod: 0 healthy, 1 inconclusive (no watched container)")),
        (policy_json({"mode": "Enforce"}), ("Progressing", "waiting for the first reconcile")),
        (reconciled(0), ("Progressing", "the selector matches no pod of this namespace")),
        (reconciled(error=DOWN), ("Progressing", "no pod is assessed or rolled: prometheus can't be resolved")),
        (reconciled(error=BUG), ("Progressing", f"no pod is assessed or rolled: {BUG.message}")),
        (reconciled(error=INVALID), ("Degraded", "there is no connection 'eu'")),
        (reconciled(error=BEYOND), ("Degraded", "spec.growth.window is 60h")),
        (reconciled(misconfigurations=(USELESS,)), ("Degraded", "a budget permits no roll")),
        (
            reconciled(0, conflicting_pods=("web-1 (old)",)),
            ("Degraded", "an older policy already watches: web-1 (old)"),
        ),
        (
            reconciled(1, conflicting_pods=("web-1 (old)",)),
            ("Degraded", "an older policy already watches: web-1 (old)"),
        ),
        (reconciled(spec={"suspend": True}), ("Suspended", "suspended: no pod is assessed or rolled")),
    ],
)
def test_the_health_of_a_policy(lua, obj, expected):
    assert health(lua, "MemoryPolicy", obj) == expected


def test_a_changed_policy_progresses_until_its_reconcile(lua):
    changed = reconciled()
    changed["metadata"]["generation"] = 2
    assert health(lua, "MemoryPolicy", changed) == ("Progressing", "waiting for the reconcile of the last change")


def test_a_policy_that_is_reconciling_progresses(lua):
    obj = reconciled()
    obj["status"]["conditions"].append({"type": "Reconciling", "status": "True", "message": "first reconcile"})
    assert health(lua, "MemoryPolicy", obj)[0] == "Progressing"


PHASES = {Phase.SUCCEEDED: "Healthy", Phase.ABORTED: "Healthy", Phase.FAILED: "Degraded"}


@pytest.mark.parametrize("phase", Phase)
def test_the_health_of_a_roll(lua, phase):
    found = health(lua, "PodRoll", roll_json(phase.value, message="what happened"))
    assert found == (PHASES.get(phase, "Progressing"), "what happened")


def test_a_new_roll_progresses(lua):
    obj = roll_json()
    del obj["status"]
    assert health(lua, "PodRoll", obj) == ("Progressing", "waiting for the first step")
