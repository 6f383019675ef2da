"""What the tests of the fence send, and as whom: kubectl with a token of memroll's ServiceAccount."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import yaml

from memroll_demo.site import CommandError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from memroll_demo.site import Site

Json = dict[str, Any]

HASH, ROLL, FROM = "pod-template-hash", "memroll.dev/roll", "memroll.dev/released-from"
OWNER, DETACHED = "memroll.dev/released-owner", "memroll.dev/detached"
RESTARTED = "kubectl.kubernetes.io/restartedAt"
NOTE_OF_A_TEAM = "team.example.com/note"
NOW = "2026-11-21T12:00:00Z"
TRY = "--dry-run=server"
"""Admission is asked as ever, and nothing is changed: what stands is there for the next test."""
TEMPLATE: Json = {
    "metadata": {"labels": {"app": "chat", "tier": "web"}, "annotations": {NOTE_OF_A_TEAM: "ours"}},
    # No scheduler and no kubelet writes on it, so that only what a test does changes it.
    "spec": {
        "schedulerName": "nobody",
        "automountServiceAccountToken": False,
        "containers": [{"name": "chat", "image": "chat:1"}],
    },
}


@dataclass(frozen=True)
class Account:
    """What one ServiceAccount can do."""

    site: Site

    def patch(self, what: Json, change: Json, *more: str) -> None:
        """Send a merge patch as memroll does: of this very object, and of a pod in the version that was read."""
        meta, kind = what["metadata"], what["kind"]
        guard = {"uid": meta["uid"]} | ({"resourceVersion": meta["resourceVersion"]} if kind == "Pod" else {})
        body = {**change, "metadata": {**guard, **change.get("metadata", {})}}
        self.site.kubectl("patch", *place(what), "--type=merge", "-p", json.dumps(body), *more)

    def evict(self, pod: Json) -> None:
        meta = pod["metadata"]
        marks = {"name": meta["name"], "namespace": meta["namespace"], "annotations": {ROLL: "chat-1"}}
        options = {"preconditions": {"uid": meta["uid"]}}
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": marks, "deleteOptions": options}
        path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}/eviction"
        self.site.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(body))


def account(cluster: Site, name: str, namespace: str, path: Path) -> Account:
    """Return a ServiceAccount by a kubeconfig of its token alone: a certificate of ours beside it would win."""
    config = yaml.safe_load(cluster.kubectl("config", "view", "--raw", "--flatten", "--minify"))
    token = cluster.kubectl("create", "token", name, "-n", namespace, "--duration=1h").strip()
    config["users"] = [{"name": user["name"], "user": {"token": token}} for user in config["users"]]
    path.write_text(yaml.safe_dump(config))
    return Account(replace(cluster, kubeconfig=str(path)))


def refusal(act: Callable[..., object], *arguments: Any) -> str:
    """Return the words of a refusal; empty when there is none."""
    try:
        act(*arguments)
    except CommandError as refused:
        return str(refused)
    return ""


def place(what: Json) -> tuple[str, ...]:
    group = what["apiVersion"].rpartition("/")[0]
    return f"{what['kind']}.{group}".lower().rstrip("."), what["metadata"]["name"], "-n", what["metadata"]["namespace"]


def made(site: Site, body: Json) -> Json:
    """Create an object and return it."""
    found: Json = json.loads(site.kubectl("create", "-o", "json", "-f", "-", stdin=json.dumps(body)))
    return found


def newest(site: Site, what: Json) -> Json | None:
    """Read an object again; None when it is gone."""
    said = site.kubectl("get", *place(what), "-o", "json", "--ignore-not-found")
    return json.loads(said) if said else None


def labels(**values: str | None) -> Json:
    return {"labels": values}


def marks(**values: str | None) -> Json:
    """Return annotations; the names are those of memroll's own."""
    return {"annotations": {f"memroll.dev/{name.replace('_', '-')}": value for name, value in values.items()}}


def merged(*changes: Json) -> Json:
    """Merge changes of labels and annotations; a later one wins."""
    return {
        part: {k: v for change in changes for k, v in change.get(part, {}).items()}
        for part in ("labels", "annotations")
    }


def pod(where: str, *changes: Json) -> Json:
    meta = merged(TEMPLATE["metadata"], {"labels": {HASH: "abc"}}, *changes)
    meta |= {"generateName": "chat-", "namespace": where}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": TEMPLATE["spec"]}


def workload(where: str, kind: str = "Deployment", **spec: Any) -> Json:
    """Return a workload that wants no pods, unless `spec` says so, and whose selector no other one has."""
    group = "argoproj.io/v1alpha1" if kind == "Rollout" else "apps/v1"
    meta = merged(TEMPLATE["metadata"], {"labels": {"of": uuid.uuid4().hex}})
    body = {"selector": {"matchLabels": meta["labels"]}, "template": {**TEMPLATE, "metadata": meta}}
    body |= {"serviceName": "chat"} if kind == "StatefulSet" else {}
    body |= {} if kind == "DaemonSet" else {"replicas": 0}
    meta = {"generateName": "chat-", "namespace": where}
    return {"apiVersion": group, "kind": kind, "metadata": meta, "spec": body | spec}


def roll(where: str, pod_name: str) -> Json:
    meta = {"generateName": "chat-", "namespace": where}
    return {"apiVersion": "memroll.dev/v1alpha1", "kind": "PodRoll", "metadata": meta, "spec": {"podName": pod_name}}


def owner(**more: Any) -> Json:
    """Return a PodRoll as memroll names it among a pod's owners."""
    ours = {"apiVersion": "memroll.dev/v1alpha1", "kind": "PodRoll", "name": "chat-1", "uid": "0-1"}
    return {"ownerReferences": [{**ours, "controller": False, "blockOwnerDeletion": False, **more}]}


def controller(pod: Json | None) -> str:
    """Return the name of what controls a pod."""
    owners = (pod or {"metadata": {}})["metadata"].get("ownerReferences", [])
    return next((str(o["name"]) for o in owners if o.get("controller")), "")
