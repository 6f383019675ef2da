"""A bug that marks every pod as breaching, with budgets that allow everything: the runaway guard stops it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from memroll_demo.site import wait_for
from tests.e2e import objects
from tests.faults import everything_breaches
from tests.faults.audit import audited
from tests.faults.process import pause
from tests.faults.stage import Stage

if TYPE_CHECKING:
    from memroll_demo.site import Site
    from tests.faults.audit import Result

APPS, REPLICAS = 6, 4
PER_HOUR = 5
WATCHED_S = 45.0
"""Long enough for every pod to be rolled, were there no guard."""
BUG = (sys.executable, str(everything_breaches.__file__), "operator")
GUARD = "RunawayGuard"


def stopped(site: Site) -> Result:
    """Many pods, all wrongly due at once: at most `PER_HOUR` rolls are made, and an event says why no more."""
    with Stage(site, "runaway") as stage:
        apps = {f"app-{n}": REPLICAS for n in range(APPS)}
        for app in apps:
            stage.server.create(_idle(stage.namespace, app, site.service_image))
        for app in apps:
            stage.wait_settled(app, REPLICAS, timeout_s=180)
        operator = stage.operator(command=BUG, MAX_ROLLS_PER_HOUR=str(PER_HOUR)).start()
        operator.wait_leader()
        stage.server.create(*(_wide_open(stage.namespace, app) for app in apps))
        wait_for("the first roll", stage.rolls, 60)
        pause(WATCHED_S)
        made = len(stage.rolls())
        operator.end()
        events = stage.server.items(f"/api/v1/namespaces/{stage.namespace}/events")
        told = sum(e["reason"] == GUARD for e in events)
        left = stage.operator(name="after").start()  # the same operator without the bug finishes what is under way
        left.wait_leader()
        stage.wait_ended()
        left.end()
        for app in apps:
            stage.wait_settled(app, REPLICAS)
        result = audited(stage, "a bug that marks every pod as breaching", apps)
        result.figures |= {"pods": APPS * REPLICAS, "allowed an hour": PER_HOUR, "made": made, "told": told}
        if made > PER_HOUR:
            result.troubles.append(f"{made} rolls were made, {PER_HOUR} an hour are allowed")
        result.troubles += [] if told else [f"no event {GUARD}"]
        return result


def _idle(namespace: str, app: str, image: str) -> dict[str, Any]:
    """Return a Deployment whose pods do nothing, quickly."""
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


def _wide_open(namespace: str, app: str) -> dict[str, Any]:
    roll = {"cooldown": "0s", "maxConcurrent": "100%", "budgets": [{"rolls": 10000, "per": "1h"}]}
    return objects.policy(namespace, app, roll=roll)
