"""Valid objects that the inputs of the fuzzer and of the property tests are derived from."""

from __future__ import annotations

from typing import Any

from tests.builders import policy_json, roll_json

AT = "2026-01-02T03:04:05Z"
OWNER = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "chat-5d9c", "uid": "rs", "controller": True}
RECORD = '{"controller":{"api_version":"apps/v1","kind":"ReplicaSet","name":"chat-5d9c","uid":"rs"}}'
POD: dict[str, Any] = {
    "metadata": {
        "name": "chat-0", "namespace": "ai", "uid": "u1", "resourceVersion": "7", "creationTimestamp": AT,
        "labels": {"app": "chat", "pod-template-hash": "memroll-released"}, "ownerReferences": [OWNER],
        "annotations": {
            "memroll.dev/do-not-disrupt": "2026-01-02T03:04:05Z", "memroll.dev/released-owner": RECORD,
            "memroll.dev/detached": '{"app":"chat"}', "memroll.dev/released-from": "5d9c", "memroll.dev/roll": "r",
        },
    },
    "spec": {
        "containers": [{
            "name": "chat", "image": "chat:1", "resources": {"limits": {"memory": "128Mi"}},
            "ports": [{"containerPort": 8080, "protocol": "TCP", "hostPort": 0}],
        }],
        "initContainers": [{"name": "proxy", "restartPolicy": "Always"}],
        "volumes": [{"persistentVolumeClaim": {"claimName": "data"}}], "hostNetwork": False,
    },
    "status": {
        "phase": "Running", "podIP": "10.0.0.7", "hostIP": "10.0.0.1",
        "conditions": [
            {"type": "Ready", "status": "True", "lastTransitionTime": AT},
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"},
        ],
        "containerStatuses": [{
            "name": "chat", "containerID": "containerd://c1", "image": "chat:1", "restartCount": 2,
            "state": {"running": {"startedAt": AT}},
            "lastState": {"terminated": {"reason": "OOMKilled", "finishedAt": AT}},
        }],
        "initContainerStatuses": [{"name": "proxy", "state": {"waiting": {"reason": "ErrImagePull", "message": "no"}}}],
    },
}  # fmt: skip
SELECTOR = {
    "matchLabels": {"app": "chat", "pod-template-hash": "5d9c"},
    "matchExpressions": [{"key": "tier", "operator": "In", "values": ["web", "api"]}],
}
WORKLOAD: dict[str, Any] = {
    "owner": {
        "kind": "Rollout", "metadata": {"name": "chat", "uid": "d", "generation": 3,
                                        "annotations": {"deployment.kubernetes.io/revision": "5"}},
        "spec": {
            "replicas": 2, "paused": False, "selector": SELECTOR, "restartAt": AT,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%"},
                         "canary": {"maxSurge": 1, "trafficRouting": {"istio": {"destinationRule": {"name": "d"}}}}},
            "template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": AT}}},
        },
        "status": {
            "observedGeneration": "3", "replicas": 2, "updatedReplicas": 2, "stableRS": "5d9c",
            "currentPodHash": "5d9c",
            "conditions": [{"type": "ReplicaFailure", "status": "True", "message": "quota"}],
            "currentRevision": "a", "updateRevision": "a", "accessModes": ["ReadWriteOnce"],
            "updatedNumberScheduled": 1, "desiredNumberScheduled": 1,
        },
    },
    "replicaSets": [{
        "metadata": {"name": "chat-5d9c", "uid": "rs", "labels": {"rollouts-pod-template-hash": "5d9c"},
                     "annotations": {"deployment.kubernetes.io/revision": "5"}, "ownerReferences": [OWNER]},
        "spec": {"replicas": 2, "selector": SELECTOR}, "status": {"replicas": 2},
    }],
}  # fmt: skip
NETWORK: dict[str, Any] = {
    "labels": {"app": "chat", "pod-template-hash": "5d9c"},
    "services": [{"metadata": {"name": "chat"}, "spec": {"type": "ClusterIP", "selector": {"app": "chat"}}}],
    "policies": [{
        "metadata": {"name": "p", "namespace": "ai"},
        "spec": {"podSelector": SELECTOR, "ingress": [{"from": [{"podSelector": SELECTOR, "namespaceSelector": {}}]}]},
    }],
}  # fmt: skip
_TERM = {
    "labelSelector": SELECTOR,
    "topologyKey": "kubernetes.io/hostname",
    "namespaces": ["ai"],
    "namespaceSelector": {},
}
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_CONSTRAINED: dict[str, Any] = {
    "metadata": {
        "name": "chat-0",
        "namespace": "ai",
        "uid": "u1",
        "labels": {"app": "chat", "pod-template-hash": "5d9c", "tier": "web"},
    },
    "spec": {
        "nodeName": "a",
        "nodeSelector": {"disk": "ssd"},
        "containers": [{"resources": {"requests": {"nvidia.com/gpu": "1"}}}],
        "initContainers": [{"restartPolicy": "Always", "resources": {"requests": {"nvidia.com/gpu": "1"}}}],
        "tolerations": [{"key": "spot", "operator": "Equal", "value": "yes", "effect": "NoSchedule"}],
        "affinity": {
            "podAntiAffinity": {_REQUIRED: [_TERM]},
            "nodeAffinity": {
                _REQUIRED: {
                    "nodeSelectorTerms": [
                        {
                            "matchExpressions": [{"key": "cores", "operator": "Gt", "values": ["4"]}],
                            "matchFields": [{"key": "metadata.name", "operator": "In", "values": ["a"]}],
                        }
                    ]
                }
            },
        },
    },
    "status": {"phase": "Running"},
}
PLACEMENT: dict[str, Any] = {
    "pod": _CONSTRAINED, "pods": [_CONSTRAINED],
    "nodes": [{
        "metadata": {"name": "a", "labels": {"disk": "ssd", "kubernetes.io/hostname": "a"}},
        "spec": {"unschedulable": False, "taints": [{"key": "spot", "value": "yes", "effect": "NoSchedule"}]},
        "status": {"allocatable": {"nvidia.com/gpu": "4", "cpu": "4"}},
    }],
}  # fmt: skip
AUTOSCALERS: dict[str, Any] = {
    "hpas": [{
        "metadata": {"name": "chat", "ownerReferences": [{"kind": "ScaledObject", "name": "k", "controller": True}]},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "chat"},
            "metrics": [
                {"type": "Resource", "resource": {"name": "memory"}},
                {"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "chat"}},
            ],
        },
    }],
    "vpas": [{
        "metadata": {"name": "chat"},
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "chat"},
            "updatePolicy": {"updateMode": "Recreate"},
            "resourcePolicy": {"containerPolicies": [{"containerName": "*", "controlledResources": ["memory"]}]},
        },
    }],
    "scaled": [{
        "metadata": {"name": "load"}, "spec": {"scaleTargetRef": {"name": "chat"}, "triggers": [{"type": "memory"}]},
    }],
}  # fmt: skip
POLICY = policy_json(
    {
        "mode": "Enforce", "selector": {"matchLabels": {"app": "chat"}}, "interval": "5m", "usageThreshold": "95%",
        "containers": ["app"], "growth": {"perHour": "20Mi", "window": "6h", "warmUp": "30m", "for": "30m"},
        "load": {"metric": "http_requests_total"}, "exhaustion": {"leadTime": "Auto"},
        "roll": {"strategy": "Auto", "maxConcurrent": "25%", "budgets": [{"rolls": 3, "window": "24h"}]},
        "evidence": {"http": {"port": 8080, "path": "/debug/memory"}, "logLines": 50, "timeout": "10s"},
    }
)  # fmt: skip
POLICY["status"] = {
    "observedGeneration": 1,
    "conditions": [{"type": "Ready", "status": "True", "reason": "Reconciled", "lastTransitionTime": AT}],
    "atRisk": [{"pod": "chat-0", "container": "chat", "verdict": "Leaking", "reason": "Leaking", "limitBytes": 1}],
    "ledger": [{
        "workload": "Deployment/chat", "container": "chat", "image": "chat:1", "firstSeen": AT, "lastSeen": AT,
        "lines": [{"at": "app/cache.py:42", "bytes": 5}],
    }],
}  # fmt: skip
EVIDENCE = {
    "capturedAt": AT, "tookSeconds": 0.5,
    "series": {"container": "chat", "limitBytes": 134217728, "begin": AT, "points": [[0, 1], [60, 2]]},
    "containers": [{"container": "chat", "restarts": 1, "started": AT}],
    "logs": [{"container": "chat", "lines": ["started"]}],
    "probe": {"rssBytes": 5, "growth": [{"file": "a.py", "line": 1, "bytes": 5}]},
    "missing": [{"section": "http", "reason": "forbidden"}],
}  # fmt: skip
ROLL = roll_json(
    "Replacing",
    spec={
        "trigger": {"container": "chat", "usageBytes": 5, "containerStarted": AT, "timeToLimitSeconds": 60},
        "workload": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "chat"},
        "drain": {"mode": "Detach"}, "evidence": {"timeout": "10s"}, "strategy": "Surge",
    },
    times={"announced": AT}, release={"hashLabel": "pod-template-hash", "templateHash": "5d9c"}, evidence=EVIDENCE,
    controller={"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "chat-5d9c", "uid": "rs"},
    detachment={"labels": {"app": "chat"}}, replacement={"name": "chat-1", "uid": "u"},
    effect={"beforeBytes": 5, "afterBytes": 1, "result": "Effective", "comparedAt": AT},
)  # fmt: skip
PROMETHEUS: dict[str, Any] = {
    "status": "success",
    "data": {"resultType": "matrix", "result": [{
        "metric": {"namespace": "ai", "pod": "chat-0", "container": "chat", "id": "/x/docker-0123456789ab.scope"},
        "values": [[1, "1"], [61.5, "2e3"], [121, "NaN"]],
    }]},
}  # fmt: skip
LOG = """2026-03-01T12:00:00Z INFO served 20 requests password=hunter2 token: "abc\\"def" max_tokens=512
-----BEGIN RSA PRIVATE KEY-----
MIIEpAIBAAKCAQEA
-----END RSA PRIVATE KEY-----
\x1b[31merror\x1b[0m postgresql://app:secret@db:5432/app Authorization: Bearer abcdefgh eyJhbGciOi.abc.def
"""
