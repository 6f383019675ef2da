"""Objects that the end-to-end tests apply, as plain dicts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

PROGRAM = (Path(__file__).parents[2] / "examples/demo/service/app.py").read_text(encoding="utf-8")
MIB = 2**20
RESTRICTED = {
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


def namespace(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def program(in_namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "program", "namespace": in_namespace},
        "data": {"app.py": PROGRAM},
    }


def pod_template(name: str, image: str, **environment: str) -> dict[str, Any]:
    """Return a pod template; the argument `limit` is the memory limit, 128Mi by default, "" for none."""
    limit = environment.pop("limit", "128Mi")
    container = {
        "name": "app",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "/srv/app.py"],
        "env": [{"name": k, "value": v} for k, v in environment.items()],
        "ports": [{"containerPort": 8080}],
        "lifecycle": {"preStop": {"sleep": {"seconds": 3}}},
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}} | ({"limits": {"memory": limit}} if limit else {}),
        "securityContext": RESTRICTED,
        "volumeMounts": [{"name": "program", "mountPath": "/srv"}],
    }
    return {
        "metadata": {"labels": {"app": name}},
        "spec": {
            "containers": [container],
            "terminationGracePeriodSeconds": 10,
            "volumes": [{"name": "program", "configMap": {"name": "program"}}],
        },
    }


def deployment(in_namespace: str, name: str, image: str, replicas: int = 1, **environment: str) -> list[dict[str, Any]]:
    """Return a Deployment, its Service, and a PodDisruptionBudget that allows no disruption."""
    labels = {"matchLabels": {"app": name}}
    meta = {"name": name, "namespace": in_namespace}
    return [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": meta,
            "spec": {"replicas": replicas, "selector": labels, "template": pod_template(name, image, **environment)},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": meta,
            "spec": {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8080}]},
        },
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": meta,
            "spec": {"minAvailable": replicas, "selector": labels},
        },
    ]


def policy(in_namespace: str, name: str, **spec: Any) -> dict[str, Any]:
    """Return a policy with the shortest windows that samples every 5 s permit."""
    body = {
        "mode": "Enforce",
        "selector": {"matchLabels": {"app": name}},
        "interval": "5s",
        "growth": {"perHour": "50%", "window": "60s", "warmUp": "10s", "for": "10s"},
        "roll": {"cooldown": "0s", "budgets": [{"rolls": 50, "per": "1h"}], "replacementTimeout": "60s"},
    }
    return {
        "apiVersion": "memroll.dev/v1alpha1",
        "kind": "MemoryPolicy",
        "metadata": {"name": name, "namespace": in_namespace},
        "spec": body | spec,
    }
