"""Prometheus wrong, slow, empty, refusing or partial: nothing is rolled on bad data, and all recovers by itself."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from memroll_demo.site import wait_for
from tests.e2e import objects
from tests.faults.api_faults import ceiling_policy
from tests.faults.audit import audited
from tests.faults.process import pause
from tests.faults.promproxy import FAULTS, REFUSED, PromProxy
from tests.faults.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memroll_demo.site import Site
    from tests.faults.audit import Result

GOOD = "good"
AGAIN_S = 10.0
"""How much longer the faults last once the good connection's pod was rolled."""
CONTROL_S = 480.0
"""The slope of a leak that began with its container is believed after four windows."""
LEAK = {"LEAK_KIB_PER_SECOND": "300", "limit": "256Mi"}
"""Due by its slope as soon as the leak is confirmed, with 13 minutes to its limit."""
HIGH = {"HOLD_MIB": "80"}
SHORT = ("html", "drip", "empty", "unauthorized", "partial", "clock-behind", REFUSED)


def bad_data(site: Site, faults: Sequence[str] = (*FAULTS, REFUSED), *, by_slope: bool = True) -> Result:
    """One leaking pod, one policy and one connection for each fault, and a good one as control, all at once.

    While the faults last only the control's pod is rolled. Then they end, and each pod is.
    """
    apps = (*faults, GOOD)
    with Stage(site, "prometheus") as stage:
        prometheus = PromProxy(stage.background, site.prometheus_url)
        try:
            for app in apps:
                stage.workload(app, environment=LEAK if by_slope else HIGH)
            for app in apps:
                stage.wait_settled(app, timeout_s=180)
            stage.connect(prometheus.urls())
            operator = stage.operator().start()
            operator.wait_leader()
            stage.server.create(*(_policy(stage.namespace, app, by_slope=by_slope) for app in apps))
            wait_for("the control's roll", stage.rolls, CONTROL_S)
            pause(AGAIN_S)
            too_early = sorted({r["spec"]["policy"] for r in stage.rolls()} - {GOOD})
            said = {app: _said(stage, app) for app in faults}
            prometheus.heal()
            healed_at = time.monotonic()
            wait_for("a roll of each", lambda: {r["spec"]["policy"] for r in stage.rolls()} == set(apps), 240)
            recovered_s = time.monotonic() - healed_at
            stage.wait_ended(timeout_s=240)
            for app in apps:
                stage.wait_settled(app, timeout_s=120)
            assert operator.alive, operator.tail()
            result = audited(stage, f"Prometheus in {len(faults)} kinds of trouble", dict.fromkeys(apps, 1))
        finally:
            prometheus.close()
        result.figures |= {
            "restarts": operator.starts - 1,
            "last roll recorded after healing (s)": f"{recovered_s:.0f}",
        }
        result.figures |= {f"said of {app}": words for app, words in said.items()}
        result.figures["asked"] = ", ".join(f"{n} {app}" for app, n in sorted(prometheus.asked_for.items()))
        result.troubles += [f"{app} was rolled on bad data" for app in too_early]
        result.troubles += [f"{app}: nothing says why it is held" for app, words in said.items() if not words]
        return result


def _policy(namespace: str, app: str, *, by_slope: bool) -> dict[str, object]:
    if not by_slope:
        return ceiling_policy(namespace, app, prometheus=app)
    roll = {"cooldown": "10m", "budgets": [{"rolls": 50, "per": "1h"}], "replacementTimeout": "60s"}
    return objects.policy(namespace, app, prometheus=app, exhaustion={"lead": "30m"}, roll=roll)


def _said(stage: Stage, policy: str) -> str:
    """Return why a policy judges nothing: its connection's condition, or else what it says of its pod."""
    path = f"/apis/memroll.dev/v1alpha1/namespaces/{stage.namespace}/memorypolicies/{policy}"
    status = stage.server.ask("GET", path).get("status", {})
    for condition in status.get("conditions", []):
        if condition["type"] == "PrometheusReachable" and condition["status"] == "False":
            return f"PrometheusReachable=False {condition['reason']}"
    nearest = status.get("nearest") or [{}]
    return f"{nearest[0]['verdict']} {nearest[0]['reason']}" if nearest[0] else ""
