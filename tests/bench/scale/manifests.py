"""Objects of the fleet as the API server gets them. A pod with its managed fields is about 10 KB of JSON. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.bench.scale.fleet import APP, LIMITS_MIB, MIB, SIDECAR, digest

if TYPE_CHECKING:
    from tests.bench.scale.fleet import FleetPod

    Json = dict[str, Any]

PART_OF = "bench.memroll.dev/policy"
"""Label of a pod with the name of its policy."""
VARIABLES = 18


def namespace(name: str) -> Json:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def policy(space: str, name: str, interval_s: int) -> Json:
    return {
        "apiVersion": "memroll.dev/v1alpha1",
        "kind": "MemoryPolicy",
        "metadata": {"name": name, "namespace": space},
        "spec": {"mode": "Enforce", "interval": f"{interval_s}s", "selector": {"matchLabels": {PART_OF: name}}},
    }


def pod_labels(pod: FleetPod) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": pod.deployment,
        "app.kubernetes.io/instance": pod.deployment,
        "app.kubernetes.io/managed-by": "Helm",
        PART_OF: pod.policy,
    }


def deployment(pods: list[FleetPod]) -> Json:
    first, selector = pods[0], {"app.kubernetes.io/name": pods[0].deployment}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": first.deployment, "namespace": first.namespace, "labels": pod_labels(first)},
        "spec": {"replicas": len(pods), "selector": {"matchLabels": selector}, "template": _template(first)},
    }


def replica_set(pods: list[FleetPod], owner_uid: str) -> Json:
    first = pods[0]
    template = _template(first)
    template["metadata"]["labels"]["pod-template-hash"] = first.template_hash
    selector = {"app.kubernetes.io/name": first.deployment, "pod-template-hash": first.template_hash}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": first.replica_set,
            "namespace": first.namespace,
            "labels": template["metadata"]["labels"],
            "annotations": {"deployment.kubernetes.io/revision": "1"},
            "ownerReferences": [_owner("Deployment", first.deployment, owner_uid)],
        },
        "spec": {"replicas": len(pods), "selector": {"matchLabels": selector}, "template": template},
    }


def workload_status(replicas: int) -> Json:
    return {"status": {"replicas": replicas, "readyReplicas": replicas, "availableReplicas": replicas}}


def fleet_pod(pod: FleetPod, owner_uid: str) -> Json:
    spec = _template(pod)["spec"] | {"nodeName": pod.node}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": pod.name,
            "namespace": pod.namespace,
            "labels": pod_labels(pod) | {"pod-template-hash": pod.template_hash},
            "annotations": {"checksum/config": digest("config", pod.deployment), "prometheus.io/scrape": "true"},
            "ownerReferences": [_owner("ReplicaSet", pod.replica_set, owner_uid)],
        },
        "spec": spec,
    }


def pod_status(pod: FleetPod, now: datetime) -> Json:
    started = stamp(now - timedelta(seconds=pod.age_s))
    kinds = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
    address = f"10.{pod.number // 65536}.{pod.number // 256 % 256}.{pod.number % 256}"
    status = {
        "phase": "Running",
        "qosClass": "Burstable",
        "hostIP": f"10.255.0.{pod.number % 100}",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "startTime": started,
        "conditions": [{"type": kind, "status": "True", "lastTransitionTime": started} for kind in kinds],
        "containerStatuses": [_container_status(pod, name, started) for name in (APP, SIDECAR)],
    }
    return {"status": status}


def pod_roll(space: str, number: int, policy_name: str, now: datetime) -> tuple[Json, Json]:
    """Return a finished PodRoll with evidence of about 4 KB, and its status."""
    pod = f"service-{digest('roll', str(number))[:10]}-{number:05}"
    workload = {"apiVersion": "apps/v1", "kind": "Deployment", "name": pod.rsplit("-", 1)[0]}
    trigger = {"container": APP, "usageBytes": 480 * MIB, "limitBytes": 512 * MIB, "growthBytesPerHour": 20 * MIB}
    record = {
        "apiVersion": "memroll.dev/v1alpha1",
        "kind": "PodRoll",
        "metadata": {"name": f"{pod}-{digest(pod)[:8]}", "namespace": space},
        "spec": {
            "podName": pod,
            "podUID": digest("uid", pod)[:32],
            "policy": policy_name,
            "workload": workload,
            "reason": f"{APP}: 480.0 MiB of 512.0 MiB (94%), +20.0 MiB per hour, limit in 1h 36m",
            "trigger": trigger,
        },
    }
    return record, {"status": _roll_status(pod, workload, now - timedelta(hours=25 + number % 100))}


def _roll_status(pod: str, workload: Json, ended: datetime) -> Json:
    times = {"announced": stamp(ended - timedelta(minutes=2)), "finished": stamp(ended)}
    effect = {"result": "Effective", "comparedAt": stamp(ended + timedelta(hours=1)), "beforeBytes": 480 * MIB}
    lines = [f"{stamp(ended)} INFO request {n} of {pod} took {n % 90} ms and returned 200" for n in range(30)]
    return {
        "phase": "Succeeded",
        "message": f"replaced by {pod}-new",
        "podUID": digest("uid", pod)[:32],
        "strategy": "Surge",
        "workload": workload,
        "replacement": {"name": f"{pod}-new", "uid": digest("new", pod)[:32]},
        "effect": effect,
        "evidence": {"capturedAt": times["announced"], "logs": [{"container": APP, "lines": lines}]},
        "times": times,
    }


def stamp(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _owner(kind: str, name: str, uid: str) -> Json:
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "name": name,
        "uid": uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _template(pod: FleetPod) -> Json:
    spec = {
        "containers": [_container(pod, name) for name in (APP, SIDECAR)],
        "volumes": [
            {"name": "config", "configMap": {"name": f"{pod.deployment}-config"}},
            {"name": "cache", "emptyDir": {"sizeLimit": "256Mi"}},
            {"name": "credentials", "secret": {"secretName": f"{pod.deployment}-credentials"}},
        ],
        "terminationGracePeriodSeconds": 30,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "fsGroup": 1000},
    }
    return {"metadata": {"labels": pod_labels(pod)}, "spec": spec}


def _container(pod: FleetPod, name: str) -> Json:
    values = [{"name": f"SETTING_{n}_OF_THE_SERVICE", "value": digest("value", str(n))[:24]} for n in range(VARIABLES)]
    memory = f"{LIMITS_MIB[name]}Mi"
    probe = {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 10, "timeoutSeconds": 2}
    return {
        "name": name,
        "image": f"registry.example.com/{pod.deployment}/{name}:1.0.0",
        "ports": [{"name": "http", "containerPort": 8080}] if name == APP else [],
        "env": values,
        "resources": {"requests": {"cpu": "100m", "memory": memory}, "limits": {"memory": memory}},
        "readinessProbe": probe,
        "livenessProbe": probe,
        "volumeMounts": [{"name": "config", "mountPath": "/etc/service"}, {"name": "cache", "mountPath": "/var/cache"}],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }


def _container_status(pod: FleetPod, name: str, started: str) -> Json:
    image = f"registry.example.com/{pod.deployment}/{name}"
    return {
        "name": name,
        "image": f"{image}:1.0.0",
        "imageID": f"{image}@sha256:{digest('image', image)}",
        "containerID": f"containerd://{pod.container_id(name)}",
        "ready": True,
        "started": True,
        "restartCount": 0,
        "state": {"running": {"startedAt": started}},
        "lastState": {},
    }
