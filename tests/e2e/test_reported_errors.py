"""Invalid input and missing parts: a condition or an Event with a remedy, never a crash or a roll."""

from __future__ import annotations

from typing import Any

import pytest

from memroll_demo.cluster import run_localcluster, wait_for
from tests.e2e import objects
from tests.e2e.test_rolls import FAST_LEAK, SLOW_LEAK, wait_phase, wait_ready

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(420)]


@pytest.mark.alone
@pytest.mark.area("outage")
def test_while_prometheus_is_stopped_nothing_is_rolled_until_it_recovers(cluster, namespace, service_image):
    if not cluster.local:
        pytest.skip("stops Prometheus: needs the local cluster")
    cluster.apply(
        *objects.deployment(namespace, "leaky", service_image, **SLOW_LEAK),
        objects.policy(namespace, "leaky", exhaustion={"leadTime": "2m"}, suspend=True),
    )
    wait_ready(cluster, namespace, "leaky")
    run_localcluster("stop", "prometheus")
    try:
        cluster.apply(objects.policy(namespace, "leaky", exhaustion={"leadTime": "2m"}))
        reachable = wait_for(
            "the condition PrometheusReachable=False",
            lambda: (c := cluster.condition(namespace, "leaky", "PrometheusReachable"))[0] == "False" and c,
        )
        assert reachable[1] in ("ConnectionRefused", "Unreachable")
        ready = cluster.condition(namespace, "leaky", "Ready")
        assert ready[0] == "False"
        assert ready[2].startswith("no pod is assessed or rolled")
        events = wait_for("the event", lambda: cluster.events(namespace, "MemoryPolicy"))
        assert [reason for reason, _ in events] == ["PrometheusUnavailable"]
        assert cluster.rolls(namespace) == []
    finally:
        run_localcluster("start", "prometheus")
    wait_for(
        "recovery", lambda: cluster.condition(namespace, "leaky", "PrometheusReachable")[0] == "True", timeout_s=90
    )
    assert wait_phase(cluster, namespace, "Succeeded", "Failed", "Aborted")["status"]["phase"] == "Succeeded"


@pytest.mark.area("odd")
def test_pods_that_can_t_be_rolled_are_reported(cluster, namespace, service_image):
    """A policy that matches no pod, a container without a limit, a leaking pod without a controller."""
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
        objects.policy(namespace, "long", growth={"window": "72h"}),
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

    refused = wait_for(
        "the bound of the administrator", lambda: (c := cluster.condition(namespace, "long", "Accepted"))[0] and c
    )
    assert refused[:2] == ("False", "WindowTooLong")
    assert refused[2].startswith("spec.growth.window is 72h: the administrator allows 48h or less")

    no_limit = wait_for(
        "NoMemoryLimit", lambda: at_risk(cluster, namespace, "limitless").get("reason") == "NoMemoryLimit"
    )
    assert no_limit
    assert any("set one" in text for reason, text in cluster.events(namespace, "Pod") if reason == "InsufficientData")

    blocked = wait_for(
        "the event RollBlocked",
        lambda: [text for reason, text in cluster.events(namespace, "Pod", "bare") if reason == "RollBlocked"],
        timeout_s=180,
    )
    message = "a pod without a controller would not be replaced: run it by a Deployment or StatefulSet"
    assert blocked == [f"Pod bare is due, but gate Unsupported blocks its roll: {message}"]
    assert cluster.rolls(namespace) == []


def at_risk(cluster: Any, namespace: str, policy: str) -> dict[str, Any]:
    found = (cluster.get("mempol", namespace, policy) or {}).get("status", {}).get("atRisk", [])
    return found[0] if found else {}


INVALID = [
    pytest.param({"mode": "enforce"}, 'supported values: "Observe", "DryRun", "Enforce"', id="an unknown mode"),
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
    pytest.param({"interval": "1d"}, "spec.interval in body should match", id="an interval in days"),
    pytest.param(
        {"growth": {"for": "7h"}},
        "`growth.for` must not be longer than `growth.window`",
        id="a duration longer than the window",
    ),
    pytest.param({"growth": {"perHour": "5Q"}}, "spec.growth.perHour in body should match", id="an unknown unit"),
    pytest.param({"roll": {"maxConcurrent": 0}}, "must be a count from 1 to 9999", id="no concurrency"),
    pytest.param({"roll": {"maxConcurrent": "0%"}}, "or a percentage from 1% to 100%", id="no percentage"),
    pytest.param(
        {"roll": {"budgets": [{"rolls": "0%", "per": "24h"}]}}, "must be a count from 0 to 10000, or a", id="no budget"
    ),
    pytest.param(
        {"roll": {"budgets": [{"rolls": 1, "per": "30s"}]}},
        "`per` of each of `roll.budgets` must be at least 1m",
        id="a budget that limits nothing",
    ),
    pytest.param({"usageThreshold": "150%"}, "spec.usageThreshold in body should match", id="a threshold above 100%"),
    pytest.param({"usageThreshold": "0.9%"}, "spec.usageThreshold in body should match", id="a threshold below 10%"),
]


@pytest.mark.area("invalid")
@pytest.mark.parametrize(("change", "message"), INVALID)
def test_the_api_server_rejects_an_invalid_policy_with_a_helpful_message(cluster, operator, change, message):
    bad = objects.policy("default", "bad", **change)
    bad["spec"] = {k: v for k, v in bad["spec"].items() if v is not None}
    assert message in cluster.refusal(bad)
