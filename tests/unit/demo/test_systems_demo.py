"""The demo of the four systems: manifests, load, and actions while it runs."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from memroll_demo import __main__ as demo
from memroll_demo import systems_demo
from memroll_demo.assertions import Assertion
from memroll_demo.cluster import CommandError, DemoCluster
from memroll_demo.systems import SYSTEMS
from memroll_demo.systems_demo import SystemsActions, SystemsScenario
from tests.pod_security import RESTRICTED
from tests.unit.demo.builders import roll

DEPLOYMENTS = [deployment for system in SYSTEMS.values() for deployment in system.deployments]
ALL = SystemsScenario(None)  # type: ignore[arg-type] # no cluster is used


@cache
def objects() -> list[dict[str, Any]]:
    return [found for system in SYSTEMS for found in ALL.load_manifests(system)]


def of_kind(kind: str, name: str) -> dict[str, Any]:
    (found,) = [o for o in objects() if (o["kind"], o["metadata"]["name"]) == (kind, name)]
    return found


def container_of(name: str) -> dict[str, Any]:
    (container,) = of_kind("Deployment", name)["spec"]["template"]["spec"]["containers"]
    return container


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda d: d.name)
def test_a_deployment_s_objects_select_its_own_pods(deployment):
    labels = of_kind("Deployment", deployment.name)["spec"]["template"]["metadata"]["labels"]
    assert labels == {"app": deployment.name}
    for kind in ("Deployment", "Service", "PodDisruptionBudget", "MemoryPolicy"):
        assert of_kind(kind, deployment.name)["spec"]["selector"] in (labels, {"matchLabels": labels}), kind


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda d: d.name)
def test_a_deployment_s_manifests_match_its_definition(deployment):
    policy = of_kind("MemoryPolicy", deployment.name)["spec"]
    assert of_kind("Deployment", deployment.name)["spec"]["replicas"] == deployment.replicas
    assert policy["mode"] == ("Observe" if deployment.observe_first else "Enforce")
    assert policy["evidence"]["http"]["port"] in [p["containerPort"] for p in container_of(deployment.name)["ports"]]
    assert of_kind("PodDisruptionBudget", deployment.name)["spec"]["minAvailable"] == deployment.replicas, "no outage"


@pytest.mark.parametrize("system", SYSTEMS.values(), ids=lambda s: s.name)
def test_twins_differ_in_the_one_variable_that_makes_the_leak(system):
    leaking, harmless = (container_of(d.name) for d in system.deployments)
    (difference,) = [(a, b) for a, b in zip(leaking["env"], harmless["env"], strict=True) if a != b]
    assert difference[0]["name"] == difference[1]["name"]
    assert leaking | {"env": []} == harmless | {"env": []}
    assert [bool(d.leak) for d in system.deployments] == [True, False]


@pytest.mark.parametrize("name", [d.name for d in DEPLOYMENTS] + ["load"])
def test_every_pod_meets_the_restricted_standard(name):
    (container,) = ALL.load_manifests("load")[0]["spec"]["containers"] if name == "load" else [container_of(name)]
    assert container["securityContext"] == RESTRICTED
    assert container["image"] == systems_demo.IMAGE


class FakeCluster:
    """Fake of DemoCluster: one policy's condition and rolls, and a record of kubectl commands."""

    def __init__(self) -> None:
        self.current_condition = ("False", "NoneAtRisk", "")
        self.podrolls: list[dict[str, Any]] = []
        self.commands: list[str] = []
        self.outputs: dict[str, str] = {}
        self.unreachable = False

    def condition(self, *_: str) -> tuple[str, str, str]:
        if self.unreachable:
            raise CommandError("no answer")
        return self.current_condition

    def rolls(self, _: str) -> list[dict[str, Any]]:
        return self.podrolls

    def get(self, kind: str, namespace: str, name: str) -> dict[str, Any]:
        return {"spec": {"clusterIP": f"ip-of-{name}"}}

    def kubectl(self, *arguments: str) -> str:
        self.commands.append(" ".join(arguments))
        return next((text for name, text in self.outputs.items() if f"ip-of-{name}/;" in arguments[-1]), "")


class RecordingCluster(FakeCluster):
    """Fake of DemoCluster that records applied objects."""

    def __init__(self) -> None:
        super().__init__()
        self.applied: list[dict[str, Any]] = []

    def apply(self, *objects: dict[str, Any]) -> None:
        self.applied += objects

    def get(self, kind: str, namespace: str, name: str) -> dict[str, Any]:
        return {"status": {"phase": "Running"}} if kind == "pod" else super().get(kind, namespace, name)


def test_one_system_runs_alone_with_its_load_in_its_own_namespaces():
    cluster = RecordingCluster()
    SystemsScenario.of(cluster, SYSTEMS["agent-like"], prefix="trial", programs="an/image:1").set_up()  # type: ignore[arg-type] # a fake
    named = [(o["kind"], o["metadata"]["name"]) for o in cluster.applied]
    assert [name for kind, name in named if kind == "Namespace"] == ["trial", "trial-load"]
    assert [name for kind, name in named if kind == "MemoryPolicy"] == ["agent-like", "agent-like-bursts"]
    assert {o["metadata"].get("namespace", "trial") for o in cluster.applied} == {"trial", "trial-load"}
    (pod,) = [o for o in cluster.applied if o["kind"] == "Pod"]
    (container,) = pod["spec"]["containers"]
    assert container["image"] == "an/image:1"
    targets = "agent-like@6=http://ip-of-agent-like/agent agent-like-bursts@8=http://ip-of-agent-like-bursts/agents"
    assert container["env"] == [
        {"name": "TARGETS", "value": targets},
        {"name": "VISITS", "value": "memroll_systems.users"},
    ]


def test_on_other_clusters_a_variable_must_name_the_image(monkeypatch):
    monkeypatch.delenv("SYSTEMS_IMAGE", raising=False)
    foreign = DemoCluster("config", "http://prometheus", "kubectl", "helm", "an/image:1", local=False)
    with pytest.raises(AssertionError, match="needs SYSTEMS_IMAGE"):
        foreign.build_systems_image(systems_demo.IMAGE)
    monkeypatch.setenv("SYSTEMS_IMAGE", "registry.example.com/systems:1")
    assert foreign.build_systems_image(systems_demo.IMAGE) == "registry.example.com/systems:1"


def actions_of(system: str) -> tuple[SystemsActions, FakeCluster]:
    cluster = FakeCluster()
    return SystemsActions(SystemsScenario.of(cluster, SYSTEMS[system])), cluster  # type: ignore[arg-type] # a fake


def test_a_policy_in_mode_observe_is_enforced_once_its_leak_is_confirmed():
    actions, cluster = actions_of("chatchat-like")
    assert actions.enforce_confirmed() == []
    unconfirmed = Assertion("the leak of chatchat-like was confirmed", ok=False, detail="never")
    assert actions.unconfirmed_leaks() == [unconfirmed]
    cluster.current_condition = ("True", "Leaking", "at risk: chatchat-like-1 (Leaking)")
    (line,) = actions.enforce_confirmed()
    assert line.startswith("chatchat-like: leak confirmed")
    assert [command for command in cluster.commands if "patch mempol chatchat-like" in command]
    assert actions.enforce_confirmed() == actions.unconfirmed_leaks() == []
    assert actions.assertions == [Assertion("chatchat-like was not rolled in mode Observe", ok=True, detail="0 rolls")]


def test_a_roll_in_mode_observe_fails_an_assertion():
    actions, cluster = actions_of("chatchat-like")
    cluster.current_condition, cluster.podrolls = ("True", "Leaking", ""), [roll("chatchat-like-84f-x")]
    actions.enforce_confirmed()
    assert [a.ok for a in actions.assertions] == [False]


def test_an_unreachable_cluster_does_not_end_the_demo():
    actions, cluster = actions_of("chatchat-like")
    cluster.unreachable = True
    assert actions.enforce_confirmed() == []


def test_the_leaking_twin_must_mix_runs_and_the_other_must_not(capsys):
    actions, cluster = actions_of("tracing-race")
    cluster.outputs = {"tracing-race": "20 of 20 are mixed\nexit=1\n", "tracing-race-context": "0 mixed\nexit=0\n"}
    actions.check_isolation()
    assert [(a.ok, a.detail) for a in actions.assertions] == [(True, "20 of 20 are mixed"), (True, "0 mixed")]
    assert "tracing-race-context: 0 mixed" in capsys.readouterr().out


@pytest.mark.parametrize("code", [0, 2])
def test_an_unexpected_exit_code_fails_the_assertion(code):
    actions, cluster = actions_of("tracing-race")
    cluster.outputs = {"tracing-race": f"text\nexit={code}\n", "tracing-race-context": "a run failed\nexit=2\n"}
    actions.check_isolation()
    assert [a.ok for a in actions.assertions] == [False, False]


def test_all_systems_are_selectable_by_name(capsys, monkeypatch):
    assert set(SYSTEMS) < set(demo.DEMOS)
    monkeypatch.setattr("sys.argv", ["memroll_demo", "run", "--system", "nothing-like"])
    with pytest.raises(SystemExit):
        demo.main()
    assert "invalid choice: 'nothing-like'" in capsys.readouterr().err
