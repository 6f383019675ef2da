"""A roll during which a HorizontalPodAutoscaler adds a replica: it counts the released pod and its replacement."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.e2e.autoscaling import autoscaler, serve_metrics
from tests.e2e.metrics_server import ANNOTATION
from tests.soak.cases import SoakCase
from tests.soak.roll_scenario import APP, wait_until

if TYPE_CHECKING:
    from tests.soak.kubectl_proxy import Json
    from tests.soak.roll_scenario import RollScenario

SETTLE_S = 45
"""Seconds for which the replacement must be Ready: three periods of the autoscaler."""
BELOW_TARGET, TARGET, OF_REPLACEMENT = "105Mi", "110Mi", "40Mi"
"""Memory of the old pod, the average that the autoscaler keeps, and the memory of a new pod."""


def annotate_template(template: Json) -> None:
    template["metadata"]["annotations"] = {ANNOTATION: OF_REPLACEMENT}


def scale_during_roll(scenario: RollScenario) -> None:
    """The autoscaler multiplies its average by the number of all pods, and adds one; after the roll it removes it."""
    scenario.deploy(1, {"minAvailable": 1}, annotate_template)
    scenario.start_load()
    pod = scenario.get_oldest_pod()
    marks = {"metadata": {"annotations": {ANNOTATION: BELOW_TARGET}}}
    scenario.kube.patch("pods", scenario.namespace, pod["metadata"]["name"], marks)
    with serve_metrics(scenario.cluster, scenario.namespace, scenario.image):
        scenario.cluster.apply(autoscaler(scenario.namespace, APP, TARGET))
        wait_until("the autoscaler's metrics", lambda: has_metrics(scenario))
        roll = scenario.create_roll(pod, settleSeconds=SETTLE_S)
        wait_until("a second replica", lambda: scenario.get_workload()["spec"]["replicas"] == 2, SETTLE_S + 60)
        assert scenario.get_phase(roll) == "Replacing", "the old pod is still there"
        status = scenario.wait_until_ended(roll)
        assert (status["phase"], status["strategy"]) == ("Succeeded", "Surge"), status
        wait_until("one replica again", lambda: scenario.get_workload()["spec"]["replicas"] == 1, 120)


def has_metrics(scenario: RollScenario) -> bool:
    found = scenario.kube.get("horizontalpodautoscalers", scenario.namespace, APP)
    return bool((found or {}).get("status", {}).get("currentMetrics"))


CASES = [SoakCase("hpa", lambda scenario, _: scale_during_roll(scenario), alone=True)]
