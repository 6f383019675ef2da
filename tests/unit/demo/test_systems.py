from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from memroll_demo import __main__ as demo
from memroll_demo import play, proof
from memroll_demo.play import Director, Systems
from memroll_demo.report import Assertion
from memroll_demo.site import CommandError, Site
from memroll_demo.systems import SYSTEMS, Line, leaking_line
from tests.restricted import RESTRICTED

MEMBERS = [member for system in SYSTEMS.values() for member in system.members]
ALL = Systems(None)  # type: ignore[arg-type] # no cluster is asked
LINE = Line("langflow_like/components.py", 51)


@cache
def objects() -> list[dict[str, Any]]:
    return [found for system in SYSTEMS for found in ALL.placed(system)]


def of_kind(kind: str, name: str) -> dict[str, Any]:
    (found,) = [o for o in objects() if (o["kind"], o["metadata"]["name"]) == (kind, name)]
    return found


def container_of(name: str) -> dict[str, Any]:
    (container,) = of_kind("Deployment", name)["spec"]["template"]["spec"]["containers"]
    return container


@pytest.mark.parametrize("member", MEMBERS, ids=lambda m: m.name)
def test_a_member_selects_its_own_pods_everywhere(member):
    labels = of_kind("Deployment", member.name)["spec"]["template"]["metadata"]["labels"]
    assert labels == {"app": member.name}
    for kind in ("Deployment", "Service", "PodDisruptionBudget", "MemoryPolicy"):
        assert of_kind(kind, member.name)["spec"]["selector"] in (labels, {"matchLabels": labels}), kind


@pytest.mark.parametrize("member", MEMBERS, ids=lambda m: m.name)
def test_a_member_plays_as_it_is_cast(member):
    policy = of_kind("MemoryPolicy", member.name)["spec"]
    assert of_kind("Deployment", member.name)["spec"]["replicas"] == member.replicas
    assert policy["mode"] == ("Observe" if member.told_first else "Enforce")
    assert policy["evidence"]["http"]["port"] in [p["containerPort"] for p in container_of(member.name)["ports"]]
    assert of_kind("PodDisruptionBudget", member.name)["spec"]["minAvailable"] == member.replicas, "no outage"


@pytest.mark.parametrize("system", SYSTEMS.values(), ids=lambda s: s.name)
def test_twins_differ_in_the_one_variable_that_makes_the_leak(system):
    leaking, harmless = (container_of(m.name) for m in system.members)
    (difference,) = [(a, b) for a, b in zip(leaking["env"], harmless["env"], strict=True) if a != b]
    assert difference[0]["name"] == difference[1]["name"]
    assert leaking | {"env": []} == harmless | {"env": []}
    assert [bool(m.leak) for m in system.members] == [True, False]


@pytest.mark.parametrize("name", [m.name for m in MEMBERS] + ["load"])
def test_every_pod_meets_the_restricted_standard(name):
    (container,) = ALL.placed("load")[0]["spec"]["containers"] if name == "load" else [container_of(name)]
    assert container["securityContext"] == RESTRICTED
    assert container["image"] == play.IMAGE


@pytest.mark.parametrize("member", [m for m in MEMBERS if m.leak], ids=lambda m: m.name)
def test_one_line_of_each_system_is_marked_as_the_leak(member):
    line = leaking_line(member.leak)
    assert line.line > 0
    assert line.text


@pytest.mark.parametrize("file", ["langflow_like/components.py", "memroll_systems/langflow_like/components.py"])
def test_a_line_is_known_by_whatever_part_of_its_path_is_given(file):
    assert LINE.is_at(file, 51)


@pytest.mark.parametrize(
    ("file", "line"), [("langflow_like/components.py", 50), ("like/components.py", 51), ("components.py", 51)]
)
def test_another_line_is_not_taken_for_it(file, line):
    assert not LINE.is_at(file, line)


def roll(pod: str = "langflow-like-84f-x", *, grown: Any = (), **status: Any) -> dict[str, Any]:
    evidence = {"probe": {"growth": [{"file": f, "line": n, "bytes": 3 * 2**20} for f, n in grown]}}
    return {
        "metadata": {"name": f"{pod}-1", "creationTimestamp": status.pop("created", "2026-01-01T00:00:00Z")},
        "spec": {"podName": pod},
        "status": {"phase": "Succeeded", "evidence": evidence} | status,
    }


RIGHT = ("memroll_systems/langflow_like/components.py", 51)
NAMED = "the evidence of langflow-like names the line that leaks"
EVIDENCE: list[Any] = [
    pytest.param([roll(grown=[RIGHT, ("json/decoder.py", 3)])], True, f"found {RIGHT[0]}:51", id="named first"),
    pytest.param([roll(grown=[("json/decoder.py", 3), RIGHT])], False, "found json/decoder.py:3", id="named second"),
    pytest.param([roll(grown=[RIGHT]), roll()], False, f"found {RIGHT[0]}:51, nothing", id="one roll without"),
    pytest.param([], False, "found no roll", id="no roll"),
    pytest.param([roll(phase="Failed", grown=[RIGHT])], False, "found no roll", id="a roll that failed"),
    pytest.param([roll("langflow-like-weak-84f-x", grown=[RIGHT])], False, "found no roll", id="another service's"),
    pytest.param(
        [roll(evidence={"missing": [{"part": "http", "reason": "TimedOut"}]})], False,
        "found nothing (http: TimedOut)", id="what is missing is said",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("rolls", "ok", "found"), EVIDENCE)
def test_the_evidence_must_name_the_leaking_line_first(rolls, ok, found):
    expected = "expected langflow_like/components.py:51"
    assert proof.named(rolls, "langflow-like", LINE) == Assertion(NAMED, ok, f"{expected}, {found}")


def at(second: int) -> str:
    return f"2026-01-01T00:00:{second:02}Z"


def timed(began: int, ended: int | None) -> dict[str, Any]:
    return roll(created=at(began), times={"finished": at(ended)} if ended else {})


@pytest.mark.parametrize(
    ("rolls", "ok"),
    [
        ([timed(0, 5), timed(15, 20), timed(30, 34)], True),
        ([timed(30, 34), timed(0, 5), timed(5, 9)], True),
        ([timed(0, 6), timed(5, 20)], False),
        ([timed(0, None), timed(5, 20)], False),
        ([timed(0, 5), timed(15, None)], True),
        ([], False),
    ],
)
def test_rolls_that_overlap_were_not_one_at_a_time(rolls, ok):
    assert proof.one_at_a_time(rolls, "langflow-like").ok is ok


def test_the_lines_that_grew_are_shown_with_their_growth():
    assert proof.shown([roll(grown=[RIGHT])], "langflow-like").splitlines() == [
        "langflow-like: grown in langflow-like-84f-x",
        "     +3.0 MiB  memroll_systems/langflow_like/components.py:51",
    ]
    assert proof.shown([roll()], "langflow-like") == "langflow-like: no evidence"


class Cluster:
    """Stands in for a Site: one policy's condition, its rolls, and what was typed."""

    def __init__(self) -> None:
        self.said = ("False", "NoLeak", "")
        self.made: list[dict[str, Any]] = []
        self.typed: list[str] = []
        self.answers: dict[str, str] = {}
        self.broken = False

    def condition(self, *_: str) -> tuple[str, str, str]:
        if self.broken:
            raise CommandError("no answer")
        return self.said

    def rolls(self, _: str) -> list[dict[str, Any]]:
        return self.made

    def get(self, kind: str, namespace: str, name: str) -> dict[str, Any]:
        return {"spec": {"clusterIP": f"ip-of-{name}"}}

    def kubectl(self, *arguments: str) -> str:
        self.typed.append(" ".join(arguments))
        return next((said for name, said in self.answers.items() if f"ip-of-{name}/;" in arguments[-1]), "")


class Recording(Cluster):
    """Notes what is applied."""

    def __init__(self) -> None:
        super().__init__()
        self.applied: list[dict[str, Any]] = []

    def apply(self, *objects: dict[str, Any]) -> None:
        self.applied += objects

    def get(self, kind: str, namespace: str, name: str) -> dict[str, Any]:
        return {"status": {"phase": "Running"}} if kind == "pod" else super().get(kind, namespace, name)


def test_one_system_plays_alone_with_its_load_in_namespaces_of_its_own():
    cluster = Recording()
    Systems.of(cluster, SYSTEMS["agent-like"], prefix="trial", programs="an/image:1").set_up()  # type: ignore[arg-type] # a part of a Site
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


def test_a_cluster_that_is_not_ours_must_be_given_the_image(monkeypatch):
    monkeypatch.delenv("SYSTEMS_IMAGE", raising=False)
    foreign = Site("config", "http://prometheus", "kubectl", "helm", "an/image:1", local=False)
    with pytest.raises(AssertionError, match="needs SYSTEMS_IMAGE"):
        foreign.systems_image(play.IMAGE)
    monkeypatch.setenv("SYSTEMS_IMAGE", "registry.example.com/systems:1")
    assert foreign.systems_image(play.IMAGE) == "registry.example.com/systems:1"


def director(system: str) -> tuple[Director, Cluster]:
    cluster = Cluster()
    return Director(Systems.of(cluster, SYSTEMS[system])), cluster  # type: ignore[arg-type] # a part of a Site


def test_a_policy_that_observes_is_enforced_once_its_leak_is_told():
    directing, cluster = director("chatchat-like")
    assert directing.look() == []
    assert directing.late() == [Assertion("the leak of chatchat-like was told", ok=False, detail="never")]
    cluster.said = ("True", "LeakConfirmed", "leaking: chatchat-like-1")
    (told,) = directing.look()
    assert told.startswith("chatchat-like: the leak is told")
    assert [typed for typed in cluster.typed if "patch mempol chatchat-like" in typed]
    assert directing.look() == directing.late() == []
    assert directing.found == [Assertion("chatchat-like was only told of in Observe", ok=True, detail="0 rolls")]


def test_a_roll_in_observe_is_a_broken_promise():
    directing, cluster = director("chatchat-like")
    cluster.said, cluster.made = ("True", "LeakConfirmed", ""), [roll("chatchat-like-84f-x")]
    directing.look()
    assert [a.ok for a in directing.found] == [False]


def test_a_cluster_that_does_not_answer_ends_no_play():
    directing, cluster = director("chatchat-like")
    cluster.broken = True
    assert directing.look() == []


def test_the_racing_twin_must_mix_and_the_other_must_not(capsys):
    directing, cluster = director("tracing-race")
    cluster.answers = {"tracing-race": "20 of 20 are mixed\nexit=1\n", "tracing-race-context": "0 mixed\nexit=0\n"}
    directing.race()
    assert [(a.ok, a.detail) for a in directing.found] == [(True, "20 of 20 are mixed"), (True, "0 mixed")]
    assert "tracing-race-context: 0 mixed" in capsys.readouterr().out


@pytest.mark.parametrize("code", [0, 2])
def test_a_race_that_could_not_be_asked_for_is_none(code):
    directing, cluster = director("tracing-race")
    cluster.answers = {"tracing-race": f"said\nexit={code}\n", "tracing-race-context": "a run failed\nexit=2\n"}
    directing.race()
    assert [a.ok for a in directing.found] == [False, False]


def test_all_plays_are_known_by_name(capsys, monkeypatch):
    assert set(SYSTEMS) < set(demo.PLAYS)
    monkeypatch.setattr("sys.argv", ["memroll_demo", "run", "--system", "nothing-like"])
    with pytest.raises(SystemExit):
        demo.main()
    assert "invalid choice: 'nothing-like'" in capsys.readouterr().err
