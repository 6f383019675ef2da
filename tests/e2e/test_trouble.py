"""Bad input and missing parts: each a condition or an event that says what to do, never a crash, never a roll."""

from __future__ import annotations

from typing import Any

import pytest

from memroll_demo.site import local, wait_for
from tests.e2e import objects
from tests.e2e.test_rolls import FAST_LEAK, SLOW_LEAK, wait_phase, wait_ready

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(420)]


@pytest.mark.alone
@pytest.mark.area("outage")
def test_while_prometheus_is_stopped_nothing_is_rolled_and_all_recovers(cluster, namespace, service_image):
    if not cluster.local:
        pytest.skip("stops Prometheus: needs the local cluster")
    cluster.apply(
        *objects.deployment(namespace, "leaky", service_image, **SLOW_LEAK),
        objects.policy(namespace, "leaky", exhaustion={"lead": "2m"}, suspend=True),
    )
    wait_ready(cluster, namespace, "leaky")
    local("stop", "prometheus")
    try:
        cluster.apply(objects.policy(namespace, "leaky", exhaustion={"lead": "2m"}))
        reachable = wait_for(
            "the condition to turn",
            lambda: (c := cluster.condition(namespace, "leaky", "PrometheusReachable"))[0] == "False" and c,
        )
        assert reachable[1] in ("ConnectionRefused", "Unreachable")
        ready = cluster.condition(namespace, "leaky", "Ready")
        assert ready[0] == "False"
        assert ready[2].startswith("nothing is judged or rolled")
        told = wait_for("the event", lambda: cluster.events(namespace, "MemoryPolicy"))
        assert [reason for reason, _ in told] == ["PrometheusUnavailable"]
        assert cluster.rolls(namespace) == []
    finally:
        local("start", "prometheus")
    wait_for(
        "recovery", lambda: cluster.condition(namespace, "leaky", "PrometheusReachable")[0] == "True", timeout_s=90
    )
    assert wait_phase(cluster, namespace, "Succeeded", "Failed", "Aborted")["status"]["phase"] == "Succeeded"


@pytest.mark.area("odd")
def test_odd_targets_are_named_and_left_alone(cluster, namespace, service_image):
    """A policy that matches nothing, a container without a limit, a leaking pod without an owner."""
    bare = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "bare", "namespace": namespace, "labels": {"app": "bare"}},
        "spec": objects.pod_template("bare", service_image, **FAST_LEAK)["spec"],
    }
    limitless, *_ = objects.deployment(namespace, "limitless", service_image, limit="", **FAST_LEAK)
    idle, *_ = objects.deployment(namespace, "elsewhere", service_image)
    cluster.apply(
        bare,
        limitless,
        idle,
        objects.policy(namespace, "nobody"),
        objects.policy(namespace, "limitless"),
        objects.policy(namespace, "bare"),
        objects.policy(namespace, "elsewhere", prometheus="nowhere"),
    )
    accepted = wait_for(
        "TargetNotFound", lambda: (c := cluster.condition(namespace, "nobody", "Accepted"))[0] == "False" and c
    )
    assert accepted[1:] == ("TargetNotFound", "the selector matches no pod of this namespace")

    unknown = wait_for(
        "the unknown connection", lambda: (c := cluster.condition(namespace, "elsewhere", "Stalled"))[0] and c
    )
    assert unknown[1] == "ConnectionNotFound"
    assert "default" in unknown[2]

    no_limit = wait_for(
        "NoMemoryLimit", lambda: nearest(cluster, namespace, "limitless").get("reason") == "NoMemoryLimit"
    )
    assert no_limit
    assert any("set one" in text for reason, text in cluster.events(namespace, "Pod") if reason == "NotEnoughData")

    held = wait_for(
        "the hold",
        lambda: [text for reason, text in cluster.events(namespace, "Pod", "bare") if reason == "RollHeld"],
        timeout_s=180,
    )
    assert held == [
        "Due to be rolled, but a pod without a controller would not come back: run it by a Deployment or StatefulSet"
    ]
    assert cluster.rolls(namespace) == []


def nearest(cluster: Any, namespace: str, policy: str) -> dict[str, Any]:
    found = (cluster.get("mempol", namespace, policy) or {}).get("status", {}).get("nearest", [])
    return found[0] if found else {}


REFUSED = [
    pytest.param({"mode": "enforce"}, 'supported values: "Observe", "Enforce"', id="an unknown mode"),
    pytest.param({"mode": None}, "spec.mode: Required value", id="no mode"),
    pytest.param({"selector": None}, "exactly one of `selector` and `targetRef` must be set", id="no target"),
    pytest.param({"selector": {}}, "at least one of matchLabels and matchExpressions", id="an empty selector"),
    pytest.param(
        {"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "x"}},
        "exactly one of `selector` and `targetRef` must be set",
        id="both targets",
    ),
    pytest.param(
        {"selector": None, "targetRef": {"apiVersion": "v1", "kind": "Pod", "name": "x"}},
        "must be an apps/v1 Deployment",
        id="a target of another kind",
    ),
    pytest.param({"interval": "1s"}, "`interval` must be from 5s to 1h", id="too short an interval"),
    pytest.param({"interval": "1d"}, "spec.interval in body should match", id="days"),
    pytest.param(
        {"growth": {"persist": "7h"}}, "`growth.persist` must not be longer than `growth.window`", id="persistence"
    ),
    pytest.param({"growth": {"perHour": "5Q"}}, "spec.growth.perHour in body should match", id="an unknown unit"),
    pytest.param({"roll": {"maxConcurrent": 0}}, "must be a count from 1 to 9999", id="no concurrency"),
    pytest.param({"roll": {"maxConcurrent": "0%"}}, "or a percentage from 1% to 100%", id="no percentage"),
    pytest.param({"ceiling": "150%"}, "spec.ceiling in body should match", id="a ceiling above the limit"),
]


@pytest.mark.area("invalid")
@pytest.mark.parametrize(("change", "words"), REFUSED)
def test_the_api_server_refuses_a_bad_policy_with_helpful_words(cluster, operator, change, words):
    bad = objects.policy("default", "bad", **change)
    bad["spec"] = {k: v for k, v in bad["spec"].items() if v is not None}
    assert words in cluster.refusal(bad)
