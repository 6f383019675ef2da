"""Faults of Prometheus: invalid, slow, empty, refused or partial responses. Nothing is rolled on bad data."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from memroll_demo.cluster import wait_for
from tests.e2e import objects
from tests.faults.api_faults import usage_threshold_policy
from tests.faults.fault_scenario import FaultScenario
from tests.faults.invariants import check_invariants
from tests.faults.operator_process import pause
from tests.faults.prometheus_proxy import FAULTS, REFUSED, PrometheusProxy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memroll_demo.cluster import DemoCluster
    from tests.faults.invariants import FaultResult

GOOD = "good"
EXTRA_TIME_S = 10.0
"""Time in seconds that the faults last after the roll of the control."""
CONTROL_TIMEOUT_S = 480.0
"""Timeout in seconds of the control's roll: a leak since the container's start is confirmed after four windows."""
LEAK = {"LEAK_KIB_PER_SECOND": "300", "limit": "256Mi"}
"""Environment of a service that is due once its leak is confirmed, 13 minutes before its limit."""
HIGH_USAGE = {"HOLD_MIB": "80"}
SHORT = ("html", "drip", "empty", "unauthorized", "partial", "clock-behind", REFUSED)


def roll_with_bad_data(
    cluster: DemoCluster, faults: Sequence[str] = (*FAULTS, REFUSED), *, by_slope: bool = True
) -> FaultResult:
    """Run a leaking pod with a policy and a connection for each fault, and one without a fault as the control.

    While the faults last, only the control is rolled; after their end, each pod is.
    """
    apps = (*faults, GOOD)
    with FaultScenario(cluster, "prometheus") as scenario:
        prometheus = PrometheusProxy(scenario.background, cluster.prometheus_url)
        try:
            for app in apps:
                scenario.create_workload(app, environment=LEAK if by_slope else HIGH_USAGE)
            for app in apps:
                scenario.wait_until_settled(app, timeout_s=180)
            scenario.write_connections(prometheus.get_urls())
            operator = scenario.create_operator().start()
            operator.wait_until_leader()
            scenario.server.create(*(_policy(scenario.namespace, app, by_slope=by_slope) for app in apps))
            wait_for("the control's roll", scenario.list_rolls, CONTROL_TIMEOUT_S)
            pause(EXTRA_TIME_S)
            too_early = sorted({r["spec"]["policy"] for r in scenario.list_rolls()} - {GOOD})
            reports = {app: _get_report(scenario, app) for app in faults}
            prometheus.heal()
            healed_at = time.monotonic()
            wait_for("a roll of each", lambda: {r["spec"]["policy"] for r in scenario.list_rolls()} == set(apps), 240)
            recovered_s = time.monotonic() - healed_at
            scenario.wait_until_ended(timeout_s=240)
            for app in apps:
                scenario.wait_until_settled(app, timeout_s=120)
            assert operator.is_alive, operator.tail()
            result = check_invariants(scenario, f"Prometheus with {len(faults)} faults", dict.fromkeys(apps, 1))
        finally:
            prometheus.close()
        result.measurements |= {
            "restarts": operator.start_count - 1,
            "last roll recorded after healing (s)": f"{recovered_s:.0f}",
        }
        result.measurements |= {f"reported for {app}": report for app, report in reports.items()}
        result.measurements["queries"] = ", ".join(f"{n} {app}" for app, n in sorted(prometheus.query_counts.items()))
        result.errors += [f"{app} was rolled on bad data" for app in too_early]
        result.errors += [f"{app}: no reason is reported" for app, report in reports.items() if not report]
        return result


def _policy(namespace: str, app: str, *, by_slope: bool) -> dict[str, object]:
    if not by_slope:
        return usage_threshold_policy(namespace, app, prometheus=app)
    roll = {"cooldown": "10m", "budgets": [{"rolls": 50, "per": "1h"}], "replacementTimeout": "60s"}
    return objects.policy(namespace, app, prometheus=app, exhaustion={"leadTime": "30m"}, roll=roll)


def _get_report(scenario: FaultScenario, policy: str) -> str:
    """Return the reason of a policy that rolls nothing: its connection's condition, or the verdict on its pod."""
    path = f"/apis/memroll.dev/v1alpha1/namespaces/{scenario.namespace}/memorypolicies/{policy}"
    status = scenario.server.request("GET", path).get("status", {})
    for condition in status.get("conditions", []):
        if condition["type"] == "PrometheusReachable" and condition["status"] == "False":
            return f"PrometheusReachable=False {condition['reason']}"
    at_risk = status.get("atRisk") or [{}]
    return f"{at_risk[0]['verdict']} {at_risk[0]['reason']}" if at_risk[0] else ""
