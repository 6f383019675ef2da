"""Which strategy fits a pod: what its workload and what selects it allow."""

from __future__ import annotations

import pytest

from memroll.api.roll_spec import Strategy
from memroll.model.permissions import Permits
from memroll.rolling.strategy import Choice, Refusal, choose
from tests.builders import pod, workload

RECREATE = workload(recreates=True)
NEVER_TWO = "Deployment/leaky has strategy Recreate (two of its pods must never run at once)"
NO_RESTART = Permits(restart=False)
NOT_RESTARTED = (
    f"{NEVER_TWO}, and memroll was installed without the right to restart workloads: "
    "set restart.enabled in the chart, or roll.strategy: Evict"
)
PAUSED = f"{NEVER_TWO}, and Deployment/leaky is paused: resume it, or roll.strategy: Evict"
NO_MORE = "Deployment/leaky has maxSurge 0: it must not have a pod more than it asks for"
BY_HASH = "Service chat selects the pod by its label pod-template-hash"
AUTO, SURGE, EVICT, RESTART = Strategy.AUTO, Strategy.SURGE, Strategy.EVICT, Strategy.RESTART
ASKED = "the policy asks for it"


@pytest.mark.parametrize(
    ("wanted", "parts", "expected"),
    [
        pytest.param(AUTO, {}, Choice(SURGE, "the replacement can be Ready before the pod leaves"), id="a surge"),
        pytest.param(AUTO, {"workload": RECREATE}, Choice(RESTART, NEVER_TWO), id="Recreate is restarted"),
        pytest.param(
            AUTO, {"workload": RECREATE, "permits": NO_RESTART}, Refusal(NOT_RESTARTED),
            id="Recreate without the right to restart",
        ),
        pytest.param(
            AUTO, {"workload": workload(recreates=True, paused=True)},
            Refusal(PAUSED), id="Recreate while it is paused",
        ),
        pytest.param(
            AUTO, {"workload": RECREATE, "permits": Permits(surge=False)}, Choice(RESTART, NEVER_TWO),
            id="Recreate without the right to surge",
        ),
        pytest.param(
            AUTO, {"workload": RECREATE, "target": pod(pinned_by="host port 80")}, Choice(RESTART, NEVER_TWO),
            id="Recreate of a pod that can't exist twice",
        ),
        pytest.param(EVICT, {"workload": RECREATE}, Choice(EVICT, ASKED), id="Recreate, evicted as it is asked for"),
        pytest.param(
            SURGE, {"workload": RECREATE}, Refusal(f"the policy asks for Surge, but {NEVER_TWO}"),
            id="Recreate, to be surged",
        ),
        pytest.param(AUTO, {"workload": workload(surge_refused=NO_MORE)}, Choice(EVICT, NO_MORE), id="maxSurge 0"),
        pytest.param(
            SURGE, {"workload": workload(surge_refused=NO_MORE)}, Refusal(f"the policy asks for Surge, but {NO_MORE}"),
            id="maxSurge 0, to be surged",
        ),
        pytest.param(RESTART, {"workload": workload(surge_refused=NO_MORE)}, Choice(RESTART, ASKED), id="restarted"),
        pytest.param(AUTO, {"hash_selected_by": BY_HASH}, Choice(EVICT, BY_HASH), id="selected by its hash"),
        pytest.param(
            SURGE, {"hash_selected_by": BY_HASH}, Refusal(f"the policy asks for Surge, but {BY_HASH}"),
            id="selected by its hash, to be surged",
        ),
        pytest.param(EVICT, {"hash_selected_by": BY_HASH}, Choice(EVICT, ASKED), id="selected by its hash, evicted"),
        pytest.param(RESTART, {"hash_selected_by": BY_HASH}, Choice(RESTART, ASKED), id="selected, restarted"),
    ],
)  # fmt: skip
def test_a_pod_is_replaced_first_only_where_two_may_exist_and_the_old_one_goes_on_serving(wanted, parts, expected):
    given = {"target": pod(), "workload": workload()} | parts
    assert choose(wanted, **given) == expected


@pytest.mark.parametrize("wanted", [AUTO, SURGE, EVICT, RESTART])
def test_without_the_right_to_act_nothing_is_chosen(wanted):
    refused = choose(wanted, pod(), RECREATE, Permits(acting=False), BY_HASH)
    assert refused == Refusal("memroll was installed without the right to act on pods")
