"""Requests for the tests of the admission policy, sent by kubectl with a token of memroll's ServiceAccount."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import yaml

from memroll_demo.cluster import CommandError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from memroll_demo.cluster import DemoCluster

Json = dict[str, Any]

HASH_LABEL, ROLL_ANNOTATION, RELEASED_FROM = "pod-template-hash", "memroll.dev/roll", "memroll.dev/released-from"
OWNER_ANNOTATION, DETACHED_ANNOTATION = "memroll.dev/released-owner", "memroll.dev/detached"
RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
TEAM_ANNOTATION = "team.example.com/note"
DELETION_COST, MIN_COST = "controller.kubernetes.io/pod-deletion-cost", "-2147483648"
NOW = "2026-11-21T12:00:00Z"
DRY_RUN = "--dry-run=server"
"""Option of kubectl: the admission policy is evaluated, but nothing changes, so that tests can share objects."""
TEMPLATE: Json = {
    "metadata": {"labels": {"app": "chat", "tier": "web"}, "annotations": {TEAM_ANNOTATION: "ours"}},
    # No scheduler and no kubelet changes it, so that only the test does.
    "spec": {
        "schedulerName": "nobody",
        "automountServiceAccountToken": False,
        "containers": [{"name": "chat", "image": "chat:1"}],
    },
}


@dataclass(frozen=True)
class Account:
    """Requests with the permissions of one ServiceAccount."""

    cluster: DemoCluster

    def patch(self, obj: Json, change: Json, *more: str) -> None:
        """Send a merge patch as memroll does: with the object's uid, and for a pod also with its resourceVersion."""
        meta, kind = obj["metadata"], obj["kind"]
        preconditions = {"uid": meta["uid"]} | ({"resourceVersion": meta["resourceVersion"]} if kind == "Pod" else {})
        body = {**change, "metadata": {**preconditions, **change.get("metadata", {})}}
        self.cluster.kubectl("patch", *object_arguments(obj), "--type=merge", "-p", json.dumps(body), *more)

    def evict(self, pod: Json) -> None:
        meta = pod["metadata"]
        target = {"name": meta["name"], "namespace": meta["namespace"], "annotations": {ROLL_ANNOTATION: "chat-1"}}
        options = {"preconditions": {"uid": meta["uid"]}}
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": target, "deleteOptions": options}
        path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}/eviction"
        self.cluster.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(body))


def account(cluster: DemoCluster, name: str, namespace: str, path: Path) -> Account:
    """Return a ServiceAccount with a kubeconfig that has only its token: a client certificate would take precedence."""
    config = yaml.safe_load(cluster.kubectl("config", "view", "--raw", "--flatten", "--minify"))
    token = cluster.kubectl("create", "token", name, "-n", namespace, "--duration=1h").strip()
    config["users"] = [{"name": user["name"], "user": {"token": token}} for user in config["users"]]
    path.write_text(yaml.safe_dump(config))
    return Account(replace(cluster, kubeconfig=str(path)))


def refusal(action: Callable[..., object], *arguments: Any) -> str:
    """Return the error message of an action; empty if it succeeded."""
    try:
        action(*arguments)
    except CommandError as error:
        return str(error)
    return ""


def object_arguments(obj: Json) -> tuple[str, ...]:
    group = obj["apiVersion"].rpartition("/")[0]
    return f"{obj['kind']}.{group}".lower().rstrip("."), obj["metadata"]["name"], "-n", obj["metadata"]["namespace"]


def create(cluster: DemoCluster, body: Json) -> Json:
    """Create an object and return it."""
    found: Json = json.loads(cluster.kubectl("create", "-o", "json", "-f", "-", stdin=json.dumps(body)))
    return found


def read_again(cluster: DemoCluster, obj: Json) -> Json | None:
    """Return the current state of an object; None if it does not exist."""
    text = cluster.kubectl("get", *object_arguments(obj), "-o", "json", "--ignore-not-found")
    return json.loads(text) if text else None


def labels(**values: str | None) -> Json:
    return {"labels": values}


def own_annotations(**values: str | None) -> Json:
    """Return annotations of memroll, by names without its prefix."""
    return {"annotations": {f"memroll.dev/{name.replace('_', '-')}": value for name, value in values.items()}}


def deletion_cost(value: str | None) -> Json:
    return {"annotations": {DELETION_COST: value}}


def merge(*changes: Json) -> Json:
    """Merge changes of labels and annotations; a later one takes precedence."""
    return {
        part: {k: v for change in changes for k, v in change.get(part, {}).items()}
        for part in ("labels", "annotations")
    }


def pod(namespace: str, *changes: Json) -> Json:
    meta = merge(TEMPLATE["metadata"], {"labels": {HASH_LABEL: "abc"}}, *changes)
    meta |= {"generateName": "chat-", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": TEMPLATE["spec"]}


def workload(namespace: str, kind: str = "Deployment", **spec: Any) -> Json:
    """Return a workload with a unique selector, and without pods unless `spec` has replicas."""
    group = "argoproj.io/v1alpha1" if kind == "Rollout" else "apps/v1"
    meta = merge(TEMPLATE["metadata"], {"labels": {"of": uuid.uuid4().hex}})
    body = {"selector": {"matchLabels": meta["labels"]}, "template": {**TEMPLATE, "metadata": meta}}
    body |= {"serviceName": "chat"} if kind == "StatefulSet" else {}
    body |= {} if kind == "DaemonSet" else {"replicas": 0}
    meta = {"generateName": "chat-", "namespace": namespace}
    return {"apiVersion": group, "kind": kind, "metadata": meta, "spec": body | spec}


def pod_roll(namespace: str, pod_name: str) -> Json:
    meta = {"generateName": "chat-", "namespace": namespace}
    return {"apiVersion": "memroll.dev/v1alpha1", "kind": "PodRoll", "metadata": meta, "spec": {"podName": pod_name}}


def roll_owner(**more: Any) -> Json:
    """Return a pod's owner reference to a PodRoll, as memroll writes it."""
    ours = {"apiVersion": "memroll.dev/v1alpha1", "kind": "PodRoll", "name": "chat-1", "uid": "0-1"}
    return {"ownerReferences": [{**ours, "controller": False, "blockOwnerDeletion": False, **more}]}


def workload_owner(name: str, uid: str) -> Json:
    """Return a pod's owner reference to the Deployment above its ReplicaSet, as a release writes it."""
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name, "uid": uid}
    return {**reference, "controller": False, "blockOwnerDeletion": False}


def controller_name(pod: Json | None) -> str:
    """Return the name of a pod's controller; empty without one."""
    owners = (pod or {"metadata": {}})["metadata"].get("ownerReferences", [])
    return next((str(o["name"]) for o in owners if o.get("controller")), "")
