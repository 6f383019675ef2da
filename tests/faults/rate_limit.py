"""Bug that puts every pod at risk, with budgets that allow everything: the roll rate limit stops it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from memroll_demo.cluster import wait_for
from tests.e2e import objects
from tests.faults import everything_at_risk
from tests.faults.fault_scenario import FaultScenario
from tests.faults.invariants import check_invariants
from tests.faults.operator_process import pause

if TYPE_CHECKING:
    from memroll_demo.cluster import DemoCluster
    from tests.faults.invariants import FaultResult

APPS, REPLICAS = 6, 4
PER_HOUR = 5
OBSERVED_S = 45.0
"""Observed time in seconds: long enough for every pod to be rolled if there were no rate limit."""
BUG_COMMAND = (sys.executable, str(everything_at_risk.__file__), "operator")
EVENT = "RollRateLimited"


def check_rate_limit(cluster: DemoCluster) -> FaultResult:
    """Run many pods that are all wrongly due: at most `PER_HOUR` rolls are created, and an Event reports the limit."""
    with FaultScenario(cluster, "runaway") as scenario:
        apps = {f"app-{n}": REPLICAS for n in range(APPS)}
        for app in apps:
            scenario.server.create(_idle_deployment(scenario.namespace, app, cluster.service_image))
        for app in apps:
            scenario.wait_until_settled(app, REPLICAS, timeout_s=180)
        operator = scenario.create_operator(command=BUG_COMMAND, MAX_ROLLS_PER_HOUR=str(PER_HOUR)).start()
        operator.wait_until_leader()
        scenario.server.create(*(_unlimited_policy(scenario.namespace, app) for app in apps))
        wait_for("the first roll", scenario.list_rolls, 60)
        pause(OBSERVED_S)
        created = len(scenario.list_rolls())
        operator.terminate()
        events = scenario.server.list_items(f"/api/v1/namespaces/{scenario.namespace}/events")
        event_count = sum(e["reason"] == EVENT for e in events)
        # The same operator without the bug completes the rolls in progress.
        successor = scenario.create_operator(name="after").start()
        successor.wait_until_leader()
        scenario.wait_until_ended()
        successor.terminate()
        for app in apps:
            scenario.wait_until_settled(app, REPLICAS)
        result = check_invariants(scenario, "a bug that puts every pod at risk", apps)
        counts = {"pods": APPS * REPLICAS, "allowed per hour": PER_HOUR, "created": created, "events": event_count}
        result.measurements |= counts
        if created > PER_HOUR:
            result.errors.append(f"{created} rolls were created, {PER_HOUR} per hour are allowed")
        result.errors += [] if event_count else [f"no event {EVENT}"]
        return result


def _idle_deployment(namespace: str, app: str, image: str) -> dict[str, Any]:
    """Return a Deployment whose pods do nothing, and start and stop quickly."""
    container = {
        "name": "app",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sleep", "infinity"],
        "resources": {"requests": {"cpu": "1m"}, "limits": {"memory": "32Mi"}},
    }
    template = {"metadata": {"labels": {"app": app}}, "spec": {"terminationGracePeriodSeconds": 1,
                                                               "containers": [container]}}  # fmt: skip
    spec = {"replicas": REPLICAS, "selector": {"matchLabels": {"app": app}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": app, "namespace": namespace},
            "spec": spec}  # fmt: skip


def _unlimited_policy(namespace: str, app: str) -> dict[str, Any]:
    roll = {"cooldown": "0s", "maxConcurrent": "100%", "budgets": [{"rolls": 10000, "per": "1h"}]}
    return objects.policy(namespace, app, roll=roll)
