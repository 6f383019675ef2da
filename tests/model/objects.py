"""Objects of the model as JSON: functions that build and read them."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

APP = {"app": "chat"}
"""Labels by which the Deployment, the Service and the PodDisruptionBudget select their pods."""
HASH_LABEL = "pod-template-hash"
GOOD, MISSING, CRASHING, NEVER_READY = "chat:good", "chat:missing", "chat:crashing", "chat:never-ready"
"""Images, named after the behavior of a pod that runs them."""
READINESS_GATE = "memroll.dev/test"
"""Readiness gate: a pod that has it is Ready only if a test sets it."""


def deployment(name: str, replicas: int = 1, **spec: Any) -> Json:
    template = spec.pop("template", None) or pod_template()
    body = {"replicas": replicas, "selector": {"matchLabels": APP}, "template": template} | spec
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": body}


def pod_template(image: str = GOOD, **spec: Any) -> Json:
    container = {"name": "chat", "image": image, "resources": {"limits": {"memory": "32Mi"}}}
    return {"metadata": {"labels": APP}, "spec": {"containers": [container], "terminationGracePeriodSeconds": 1} | spec}


def budget(name: str, **spec: Any) -> Json:
    body = {"selector": {"matchLabels": APP}} | spec
    return {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name}, "spec": body}


def service(name: str) -> Json:
    spec = {"selector": APP, "ports": [{"port": 80}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def quota(name: str, pods: int) -> Json:
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": name}, "spec": {"hard": {"pods": pods}}}


def node(name: str, pods: int) -> Json:
    status = {"allocatable": {"pods": pods}}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": {}, "status": status}


def namespace(name: str) -> Json:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def reference(owner: Json, *, controller: bool = True) -> Json:
    """Return an owner reference to an object."""
    meta = owner["metadata"]
    named = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": meta["name"], "uid": meta["uid"]}
    return named | {"controller": controller, "blockOwnerDeletion": controller}


def name_of(obj: Json) -> str:
    return str(obj["metadata"]["name"])


def uid_of(obj: Json) -> str:
    return str(obj["metadata"]["uid"])


def labels_of(obj: Json) -> dict[str, str]:
    return obj["metadata"].get("labels") or {}


def annotations_of(obj: Json) -> dict[str, str]:
    return obj["metadata"].get("annotations") or {}


def owners_of(obj: Json) -> list[Json]:
    return obj["metadata"].get("ownerReferences") or []


def controller_uid(obj: Json) -> str:
    return next((str(o["uid"]) for o in owners_of(obj) if o.get("controller")), "")


def is_deleting(obj: Json) -> bool:
    return "deletionTimestamp" in obj["metadata"]


def phase_of(pod: Json) -> str:
    return str(pod.get("status", {}).get("phase", "Pending"))


def node_of(pod: Json) -> str:
    return str(pod["spec"].get("nodeName", ""))


def is_active(pod: Json) -> bool:
    return phase_of(pod) not in ("Succeeded", "Failed") and not is_deleting(pod)


def condition_of(pod: Json, kind: str) -> Json:
    return next((c for c in pod.get("status", {}).get("conditions", ()) if c["type"] == kind), {})


def is_ready(pod: Json) -> bool:
    return condition_of(pod, "Ready").get("status") == "True"


def restarts_of(pod: Json) -> int:
    return max((int(s.get("restartCount", 0)) for s in pod.get("status", {}).get("containerStatuses", ())), default=0)


def image_of(pod: Json) -> str:
    return str(pod["spec"]["containers"][0]["image"])


def selects(selector: Json, labels: dict[str, str]) -> bool:
    """Return whether a selector of a spec selects the labels; the model uses only `matchLabels`."""
    return all(labels.get(k) == v for k, v in selector.get("matchLabels", {}).items())


def with_condition(status: Json, kind: str, value: str, at: str, reason: str = "", message: str = "") -> Json:
    """Return a status with one condition set; its time changes only with its value."""
    conditions = list(status.get("conditions", ()))
    old = next((c for c in conditions if c["type"] == kind), None)
    since = old["lastTransitionTime"] if old and old["status"] == value else at
    new = {"type": kind, "status": value, "lastTransitionTime": since, "reason": reason, "message": message}
    return status | {"conditions": [new if c is old else c for c in conditions] + ([] if old else [new])}
