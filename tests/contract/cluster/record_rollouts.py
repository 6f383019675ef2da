"""`python -m tests.contract.cluster.record_rollouts`: record what the real controller of Argo Rollouts writes.

Deploys a Rollout of each strategy on the local cluster, and writes the Rollout with its ReplicaSets, Services and pods
in each state to `recorded_rollouts/`, which `test_recorded_rollouts.py` reads. See docs/design/0019-argo-rollouts.md.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memroll_demo import cluster as demo_cluster
from tests.soak import rollouts
from tests.soak.kubectl_proxy import KubectlProxy
from tests.soak.roll_scenario import APP, RollScenario, wait_until

if TYPE_CHECKING:
    from memroll_demo.cluster import DemoCluster

FOLDER = Path(__file__).with_name("recorded_rollouts")
NAMESPACE = "memroll-recorded"
PLURALS = ("rollouts", "replicasets", "services", "pods")
REPLICAS = 2
DROPPED = ("managedFields", "resourceVersion", "creationTimestamp")
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
CHANGED_TEMPLATE = {"metadata": {"annotations": {"example.com/version": "2"}}}
PAUSES: dict[str, dict[str, Any]] = {
    "blue-green": {"blueGreen": {**rollouts.WITH_PREVIEW["blueGreen"], "autoPromotionEnabled": False}},
    "canary-both": {"canary": {**rollouts.WITH_CANARY_SERVICE["canary"], **rollouts.PAUSED_CANARY["canary"]}},
    "canary": rollouts.PAUSED_CANARY,
}
"""Strategies by name; each pauses once its template changes."""


def main() -> int:
    cluster = demo_cluster.status() or demo_cluster.boot()
    rollouts.start_controller()
    FOLDER.mkdir(exist_ok=True)
    try:
        with KubectlProxy(cluster) as kube:
            for name, strategy in PAUSES.items():
                record(cluster, kube, name, strategy)
    finally:
        cluster.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found")
        rollouts.stop_controller(cluster)
    return 0


def record(cluster: DemoCluster, kube: KubectlProxy, name: str, strategy: dict[str, Any]) -> None:
    """Record a Rollout that is healthy, whose restart is requested but held up, and whose new version is paused."""
    scenario = RollScenario(cluster, kube, NAMESPACE, cluster.service_image)
    scenario.create_namespace()
    rollouts.deploy_rollout(scenario, REPLICAS, strategy, {"minAvailable": "100%"})
    write(f"{name}-healthy", read(scenario))
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    kube.patch("rollouts", NAMESPACE, APP, {"spec": {"restartAt": at}})
    wait_until("the controller to observe the restart", lambda: is_observed(scenario))
    write(f"{name}-restarting", read(scenario))
    kube.delete("poddisruptionbudgets", NAMESPACE, APP)
    wait_until("the end of the restart", lambda: scenario.get_workload()["status"].get("restartedAt") == at, 180)
    scenario.wait_until_settled(REPLICAS)
    write(f"{name}-restarted", read(scenario))
    kube.patch("rollouts", NAMESPACE, APP, {"spec": {"template": CHANGED_TEMPLATE}})
    wait_until("a paused Rollout", lambda: scenario.get_workload()["status"].get("phase") == "Paused")
    write(f"{name}-paused", read(scenario))


def is_observed(scenario: RollScenario) -> bool:
    workload = scenario.get_workload()
    return bool(workload["status"].get("observedGeneration") == str(workload["metadata"]["generation"]))


def read(scenario: RollScenario) -> dict[str, list[dict[str, Any]]]:
    return {plural: [shorten(o) for o in scenario.kube.list(plural, scenario.namespace)] for plural in PLURALS}


def shorten(found: dict[str, Any]) -> dict[str, Any]:
    """Drop what memroll does not read and what differs each time; of a pod keep the metadata."""
    metadata = {k: v for k, v in found["metadata"].items() if k not in DROPPED}
    metadata["annotations"] = {k: v for k, v in metadata.get("annotations", {}).items() if k != LAST_APPLIED}
    short = found | {"metadata": metadata}
    template = found.get("spec", {}).get("template", {})
    if template:
        short["spec"] = found["spec"] | {"template": {"metadata": template["metadata"]}}
    if found["kind"] == "Pod":
        del short["spec"], short["status"]
    return short


def write(name: str, objects: dict[str, list[dict[str, Any]]]) -> None:
    text = json.dumps(objects, indent=1, sort_keys=True)
    (FOLDER / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    print(f"recorded {name}", file=sys.stderr)  # noqa: T201 - command-line output


if __name__ == "__main__":
    sys.exit(main())
