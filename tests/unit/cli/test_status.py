"""`memroll status` as a table, as names and as a document."""

from __future__ import annotations

import asyncio
import json

import pytest

from memroll.cli import watching
from memroll.cli.watching import repeat
from memroll.errors import TerminalError
from tests.builders import line
from tests.scenario.simulation import leaking


@pytest.fixture
def reconciled():
    sim = leaking(2)
    sim.prometheus.by_container["id-leaky-2"] = line(0.5)
    asyncio.run(sim.reconcile())
    return sim


def test_the_table_is_a_tree_of_policy_workload_and_pod(reconciled, execute):
    ended = execute(reconciled, "status")
    assert (ended.code, ended.err) == (0, "")
    header, policy, warning, workload, first, second = ended.out.splitlines()
    assert header.split() == ["NAME", "VERDICT", "USAGE", "GROWTH", "TIME-TO-LIMIT", "STATE"]
    assert policy.startswith("demo/leaky")
    assert "Enforce" in policy
    assert warning.strip().startswith("CannotKeepUp: the budget")
    assert workload == "└─ Deployment/leaky"
    assert first.startswith("   ├─ leaky-1/app")
    assert "110.0 MiB of 128.0 MiB (86%)" in first
    assert "rolling: Announced (PodRoll leaky-1-" in first
    assert second.startswith("   └─ leaky-2/app")
    assert "blocked by Concurrency: 1 of at most 1" in second


def test_wide_adds_the_message_of_the_verdict(reconciled, execute):
    assert "grows like a leak" not in execute(reconciled, "status").out
    assert "grows like a leak" in execute(reconciled, "status", "-o", "wide").out


def test_names_can_be_given_to_kubectl(reconciled, execute):
    assert execute(reconciled, "status", "-o", "name").out == "memorypolicy.memroll.dev/leaky\n"


def test_the_document_has_the_tree(reconciled, execute):
    (found,) = json.loads(execute(reconciled, "status", "leaky", "-o", "json").out)
    assert (found["policy"], found["mode"], found["ready"], found["suspended"]) == ("leaky", "Enforce", True, False)
    first = found["workloads"][0]["containers"][0]
    assert (first["pod"], first["verdict"], first["phase"]) == ("leaky-1", "Leaking", "Announced")


def test_an_unknown_policy_is_named(reconciled, execute):
    ended = execute(reconciled, "status", "leaky", "other")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == "memroll status: there is no policy other in namespace demo: see 'memroll status'\n"


def test_without_policies_there_is_a_hint_and_an_empty_document(reconciled, execute):
    reconciled.cluster.policies_json.clear()
    assert "no policy" in execute(reconciled, "status").err
    assert execute(reconciled, "status", "-o", "json").out == "[]\n"


def test_the_exit_code_is_that_of_the_state_on_request(reconciled, execute):
    assert execute(reconciled, "status").code == 0
    assert execute(reconciled, "status", "--exit-code").code == 3
    assert execute(leaking(), "status", "--exit-code").code == 4, "not reconciled yet"


def test_without_the_permission_to_list_pods_workloads_come_from_names(reconciled, execute, monkeypatch):
    async def refuse(*_):
        raise TerminalError("Forbidden", "no")

    monkeypatch.setattr(reconciled.cluster, "list_pods", refuse)
    assert "└─ leaky\n" in execute(reconciled, "status").out


async def test_watch_shows_each_change_once(monkeypatch):
    monkeypatch.setattr(watching, "PERIOD_S", 0.0)
    states, shown = iter([1, 1, 2, 2, 3]), []

    async def read():
        value = next(states, None)
        if value is None:
            raise KeyboardInterrupt
        return value

    with pytest.raises(KeyboardInterrupt):
        await repeat(read, shown.append, watch=True)
    assert shown == [1, 2, 3]
