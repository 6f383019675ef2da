"""Autoscalers, decoded to their target and the effect of a leak on them."""

from __future__ import annotations

from typing import Any

import pytest

from memroll.api.policy import WorkloadAutoscaler
from memroll.clients.kube.autoscalers import MAX_SOURCE_CHARS, MAX_SOURCES_NAMED, decode_autoscalers
from memroll.model.pod_names import WorkloadName

CHAT = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "chat"}
LEAK = "a leak makes it add replicas"


def named(name: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": spec}


def hpa(*metrics: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    raw = named("chat", scaleTargetRef=CHAT, metrics=list(metrics))
    return raw | {"metadata": raw["metadata"] | metadata}


def resource(name: str) -> dict[str, Any]:
    return {"type": "Resource", "resource": {"name": name, "target": {"type": "Utilization"}}}


def vpa(update_mode: str = "", **policy: Any) -> dict[str, Any]:
    update = {"updatePolicy": {"updateMode": update_mode}} if update_mode else {}
    return named("chat", targetRef=CHAT, **update, resourcePolicy={"containerPolicies": [policy] if policy else []})


def found(*, hpas=(), vpas=(), scaled=()) -> list[tuple[str, str, str]]:
    return [(str(a), str(a.target), a.message) for a in decode_autoscalers(hpas, vpas, scaled)]


CONTAINER_MEMORY = {"type": "ContainerResource", "containerResource": {"name": "memory", "container": "app"}}


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ([resource("cpu")], "scales by cpu"),
        ([resource("memory"), resource("cpu")], f"scales by cpu, memory: {LEAK}"),
        ([CONTAINER_MEMORY], f"scales by memory: {LEAK}"),
        ([{"type": "External", "external": {"metric": {"name": "memory"}}}], "scales by External"),
        ([], "scales the workload"),
    ],
    ids=["cpu", "memory too", "memory of a container", "another system's metric", "none"],
)
def test_a_horizontal_autoscaler_is_named_with_its_metrics(metrics, message):
    assert found(hpas=[hpa(*metrics)]) == [("HorizontalPodAutoscaler/chat", "Deployment/chat", message)]


EVICTS = "evicts pods to change their memory requests"


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (vpa(), f"{EVICTS} (updateMode Auto): a leak raises them"),
        (vpa("Recreate"), f"{EVICTS} (updateMode Recreate): a leak raises them"),
        (vpa("Initial"), "sets the memory requests of new pods (updateMode Initial): a leak raises them"),
        (vpa("Off"), None),
        (
            vpa("Recreate", containerName="*", controlledResources=["cpu"]),
            "evicts pods to change their CPU requests (updateMode Recreate)",
        ),
        (vpa("Initial", containerName="*", controlledResources=["cpu"]), None),
        (vpa("Recreate", containerName="*", mode="Off"), None),
        (
            vpa("Recreate", containerName="sidecar", mode="Off"),
            f"{EVICTS} (updateMode Recreate): a leak raises them",
        ),
    ],
    ids=["default", "Recreate", "Initial", "Off", "cpu", "cpu of new pods", "no container", "not the sidecar"],
)
def test_a_vertical_autoscaler_is_named_if_it_changes_pods(raw, message):
    expected = [] if message is None else [("VerticalPodAutoscaler/chat", "Deployment/chat", message)]
    assert found(vpas=[raw]) == expected


def test_a_scaled_object_is_named_once_without_the_autoscaler_that_it_controls():
    scaled = named("load", scaleTargetRef={"name": "chat"}, triggers=[{"type": "memory"}, {"type": "kafka"}])
    owner = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "load", "uid": "s", "controller": True}
    owned = hpa(resource("memory"), name="keda-hpa-load", ownerReferences=[owner])
    expected = ("ScaledObject/load", "Deployment/chat", f"scales by kafka, memory: {LEAK}")
    assert found(scaled=[scaled], hpas=[owned, hpa(resource("cpu"))]) == [
        expected, ("HorizontalPodAutoscaler/chat", "Deployment/chat", "scales by cpu"),
    ]  # fmt: skip
    unreadable = found(hpas=[owned])
    assert unreadable == [("HorizontalPodAutoscaler/keda-hpa-load", "Deployment/chat", f"scales by memory: {LEAK}")]


PAUSED, PAUSED_REPLICAS = "autoscaling.keda.sh/paused", "autoscaling.keda.sh/paused-replicas"


@pytest.mark.parametrize(
    ("annotations", "prefix"),
    [
        ({PAUSED: "true"}, f"paused by {PAUSED}, otherwise "),
        ({PAUSED: "yes"}, f"paused by {PAUSED}, otherwise "),
        ({PAUSED: "false"}, ""),
        ({PAUSED: "false", PAUSED_REPLICAS: "2"}, f"paused by {PAUSED_REPLICAS}, otherwise "),
        ({}, ""),
    ],
)
def test_a_paused_scaled_object_is_named_as_paused(annotations, prefix):
    scaled = named("load", scaleTargetRef={"name": "chat"}, triggers=[{"type": "memory"}])
    scaled["metadata"]["annotations"] = annotations
    assert found(scaled=[scaled]) == [("ScaledObject/load", "Deployment/chat", f"{prefix}scales by memory: {LEAK}")]


def test_the_target_has_the_kind_that_is_set():
    (autoscaler,) = decode_autoscalers([named("chat", scaleTargetRef=CHAT | {"kind": "Rollout"})], [], [])
    assert autoscaler.target == WorkloadName("Rollout", "chat")


def test_one_without_a_target_is_not_named():
    assert found(hpas=[named("chat")], vpas=[named("chat")], scaled=[named("chat")]) == []


def test_the_message_is_bounded():
    metrics = [resource(f"{i}{'m' * 300}") for i in range(100)]
    ((_, _, message),) = found(hpas=[hpa(*metrics)])
    assert len(message) <= len("scales by ") + MAX_SOURCES_NAMED * (MAX_SOURCE_CHARS + 2)
    triggers = [{"type": f"{i}{'m' * 300}"} for i in range(100)] + [{"type": "memory"}]
    scaled = named("load", scaleTargetRef={"name": "chat"}, triggers=triggers)
    scaled["metadata"]["annotations"] = {PAUSED_REPLICAS: "0"}
    ((name, target, message),) = found(scaled=[scaled])
    WorkloadAutoscaler(name=name, workload=target, message=message)
