"""Wrong policies: the reader refuses each with the message that its author needs, or Accepted becomes False.

The API server's own messages are checked in tests/contract/cluster/test_wrong_policies.py and in
tests/e2e/test_wrong_policies.py.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from pydantic import ValidationError

from memroll.api.decode import summarize
from memroll.api.policy import PolicySpec
from memroll.api.policy_bounds import PolicyBounds
from memroll.backtest import policy as policy_file
from memroll.controller.key import Key
from memroll.errors import NotFoundError, TerminalError
from tests.builders import line, policy_json
from tests.fakes import FakeCluster, FakePrometheus
from tests.scenario.simulation import Simulation
from tests.wrong_policy_files import ALL, NOT_ACCEPTED, REFUSED, WrongPolicy

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from memroll.detection.samples import PrefilterResult
    from memroll.model.pods import Pod
    from memroll.model.target import TargetControllers

KEY = Key("demo", "wrong")
CHART_BOUNDS = PolicyBounds(timedelta(seconds=30), timedelta(hours=48), 5000, 50)


class OneConnection(FakePrometheus):
    """Prometheus with the connection `default` only."""

    async def prefilter(self, connection: str, *args: Any) -> PrefilterResult:
        if connection != "default":
            raise TerminalError(
                "ConnectionNotFound", f"there is no connection {connection!r}; connections are: default"
            )
        return await super().prefilter(connection, *args)


class TwoWorkloads(FakeCluster):
    """Cluster with a pod of app=leaky, and one of app=taken for an older policy."""

    def __init__(self) -> None:
        super().__init__(2)
        other = self.pods["leaky-2"]
        self.pods["leaky-2"] = replace(other, labels=other.labels | {"app": "taken"})

    async def list_pods(self, namespace: str, selector: str) -> tuple[Pod, ...]:
        found = await super().list_pods(namespace, selector)
        return tuple(p for p in found if selector in ("", f"app={p.labels['app']}"))

    async def resolve_target(self, namespace: str, api_version: str, kind: str, name: str) -> TargetControllers:
        if name == "nobody":
            raise NotFoundError("NotFound", name)
        return await super().resolve_target(namespace, api_version, kind, name)


def simulation(wrong: WrongPolicy) -> Simulation:
    """Simulate a leaking pod, an older policy for app=taken, and the wrong policy."""
    sim = Simulation(TwoWorkloads(), OneConnection({"id-leaky-1": line(0.5)}))
    older = {"mode": "Observe", "selector": {"matchLabels": {"app": "taken"}}}
    sim.cluster.policies_json = {
        "older": policy_json(older, "older", creationTimestamp="2026-02-01T10:00:00Z"),
        KEY.name: policy_json(wrong.spec, KEY.name),
    }
    sim.change_context(bounds=CHART_BOUNDS)
    return sim


def refusal_by_reader(wrong: WrongPolicy, folder: Path) -> str:
    """Return the message with which a command refuses the file, or the model; empty if both accept it."""
    path = folder / "policy.yaml"
    path.write_text(yaml.safe_dump(wrong.manifest))
    try:
        policy_file.load(path)
        PolicySpec.model_validate(wrong.spec)
    except ValidationError as error:
        return summarize(error)
    except TerminalError as error:
        return error.message
    return ""


def test_there_are_at_least_forty_and_each_has_one_expectation():
    assert len(ALL) >= 40
    assert [w.name for w in ALL if bool(w.admission) == bool(w.condition[0])] == []
    assert len({w.manifest["metadata"]["name"] for w in ALL}) == len(ALL)


@pytest.mark.parametrize("wrong", REFUSED, ids=lambda w: w.name)
def test_the_reader_refuses_what_the_api_server_refuses(wrong: WrongPolicy, tmp_path: Path) -> None:
    assert wrong.reader in refusal_by_reader(wrong, tmp_path)


@pytest.mark.parametrize("wrong", NOT_ACCEPTED, ids=lambda w: w.name)
async def test_a_policy_that_only_the_operator_can_refuse_is_not_accepted(wrong: WrongPolicy) -> None:
    sim = simulation(wrong)
    await sim.reconcile(KEY)
    conditions = {c["type"]: c for c in sim.cluster.policies_json[KEY.name]["status"]["conditions"]}
    accepted, (reason, text) = conditions["Accepted"], wrong.condition
    assert (accepted["status"], accepted["reason"]) == ("False", reason)
    assert text in accepted["message"]
    assert conditions["Ready"]["status"] == "False"
    assert sim.cluster.rolls_json == {}


@pytest.mark.parametrize("wrong", ALL, ids=lambda w: w.name)
async def test_no_wrong_policy_crashes_a_reconcile_even_if_the_api_server_let_it_pass(wrong: WrongPolicy) -> None:
    sim = simulation(wrong)
    wait_s = await sim.reconcile(KEY)
    assert wait_s is not None
    assert wait_s > 0
    assert "InternalError" not in _reasons(sim.cluster.policies_json[KEY.name]["status"]["conditions"])
    await sim.reconcile(Key("demo", "older"))
    assert "InternalError" not in sim.recorder.reasons("MemoryPolicy")


def _reasons(conditions: Sequence[dict[str, Any]]) -> set[str]:
    return {condition["reason"] for condition in conditions}
