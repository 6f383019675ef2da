from __future__ import annotations

import json
from typing import Any

import pytest

from memroll_demo import report, stage, timeline
from memroll_demo.facts import OomKills, Service


def good() -> dict[str, Service]:
    return {
        "leaky": Service(requests=7000, rolls=2, shares=[0.68], verdict="leaks, limit in 41s"),
        "leaky-fleet": Service(requests=7000, rolls=5, shares=[0.4, 0.92, 0.1], verdict="leaks, limit in 9s"),
        "highwater": Service(requests=7000, shares=[0.85], verdict="healthy"),
        "warmup": Service(requests=7000, shares=[0.67], verdict="healthy"),
        "control": Service(requests=7000, failures=214, oom_kills=2, longest_outage_s=13.2, kinds={"OSError": 214}),
    }


def test_a_good_run_passes():
    found = report.assertions(good())
    assert all(a.ok for a in found)
    assert len(found) == 9


BAD: list[Any] = [
    pytest.param("leaky", {"rolls": 1}, "leaky was rolled at least twice", "1 rolls", id="too few rolls"),
    pytest.param("leaky-fleet", {"oom_kills": 1}, "leaky-fleet was never OOM-killed", "1 OOM kills", id="an OOM kill"),
    pytest.param("leaky", {"failures": 3, "kinds": {"timed out": 3}}, "no request to leaky failed",
                 "3 of 7000 failed {'timed out': 3}", id="a lost request"),
    pytest.param("leaky", {"requests": 0}, "no request to leaky failed", "0 of 0 failed", id="no request at all"),
    pytest.param("highwater", {"rolls": 1}, "highwater was never rolled", "1 rolls", id="an innocent one rolled"),
    pytest.param("warmup", {"rolls_failed": 1}, "warmup was never rolled", "1 rolls", id="an innocent one touched"),
    pytest.param("control", {"oom_kills": 0}, "control, without a policy, was OOM-killed", "0 OOM kills",
                 id="nothing to compare with"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "change", "assertion", "detail"), BAD)
def test_a_broken_promise_is_named_with_its_numbers(name, change, assertion, detail):
    services = good()
    for field, value in change.items():
        setattr(services[name], field, value)
    assert [(a.name, a.detail) for a in report.assertions(services) if not a.ok] == [(assertion, detail)]


def test_the_figures_are_written_whole(tmp_path):
    path = tmp_path / "build" / "demo.json"
    report.write(path, report.figures(good(), report.assertions(good()), timings={"watched_s": 360}))
    read = json.loads(path.read_text())
    assert read["passed"] is True
    assert read["services"]["control"] == {
        "rolls": 0,
        "rolls_failed": 0,
        "oom_kills": 2,
        "requests": 7000,
        "failures": 214,
        "longest_outage_s": 13.2,
        "failure_kinds": {"OSError": 214},
    }
    assert [p.name for p in path.parent.iterdir()] == ["demo.json"]


def test_a_frame_shows_the_fullest_pod_of_each_service():
    lines = timeline.frame(95, good()).splitlines()
    assert lines[0].startswith("── 1:35 ──")
    assert lines[1] == (
        "leaky          ▓▓▓▓▓▓▓░░░  68%  leaks, limit in 41s   2 rolls  0 OOM    7000 requests  0 failed"
    )
    assert lines[2].startswith("leaky-fleet x3 ▓▓▓▓▓▓▓▓▓░  92%")
    assert all(len(line) <= 110 for line in lines)
    assert "\x1b" not in "".join(lines)


def test_a_coloured_frame_says_the_same():
    assert "\x1b[31m214 failed\x1b[0m" in timeline.frame(95, good(), coloured=True)


def killed(container: str, reason: str = "OOMKilled", where: str = "lastState") -> dict[str, Any]:
    return {"status": {"containerStatuses": [{where: {"terminated": {"reason": reason, "containerID": container}}}]}}


def test_oom_kills_count_each_instance_once_and_outlive_their_pod():
    kills = OomKills()
    for pod in (killed("a"), killed("a"), killed("b", where="state"), killed("c", reason="Error")):
        kills.see_pod("leaky", pod)
    assert kills.of("leaky") == 2
    assert kills.of("other") == 0


def test_the_witness_that_saw_more_oom_kills_is_believed():
    kills = OomKills()
    kills.see_pod("leaky", killed("a"))
    for container, count in (("a", 1), ("b", 1), ("b", 2), ("b", 1)):
        kills.see_event_count("leaky", container, count)
    assert kills.of("leaky") == 3


@pytest.mark.parametrize("name", [*stage.SERVICES, "load", "policies"])
def test_the_manifests_are_what_they_claim(name):
    objects = stage.manifest(name, "an/image:1")
    for found in objects:
        if found["kind"] == "Deployment":
            (container,) = found["spec"]["template"]["spec"]["containers"]
            assert container["image"] == "an/image:1"
            assert container["resources"]["limits"]["memory"] == "128Mi"
            assert container["readinessProbe"]
            labels = found["spec"]["template"]["metadata"]["labels"]
            assert found["spec"]["selector"]["matchLabels"].items() <= labels.items()
            assert found["metadata"]["namespace"] == stage.SERVICES[name]
    assert objects


def test_control_is_leaky_without_a_policy():
    def bare(name: str) -> Any:
        (deployment,) = [o for o in stage.manifest(name, "x") if o["kind"] == "Deployment"]
        return deployment["spec"]["template"]["spec"]

    assert bare("control") == bare("leaky")
    namespaces = {o["metadata"]["namespace"] for o in stage.manifest("policies", "x")}
    assert stage.CONTROL not in namespaces
