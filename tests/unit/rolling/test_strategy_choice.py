"""Choice of the strategy for a pod, by its workload, the permissions, and the Services that select it."""

from __future__ import annotations

import pytest

from memroll.api.roll_spec import Strategy
from memroll.model.permissions import Permissions
from memroll.model.pods import ObjectRef
from memroll.rolling.strategy import StrategyChoice, Unsupported
from memroll.rolling.strategy_choice import STRATEGIES, choose, strategy_of
from tests.builders import pod, workload

RECREATE = workload(has_recreate_strategy=True)
PAUSED_RECREATE = workload(has_recreate_strategy=True, paused=True)
CONFLICT = "Deployment/leaky has strategy Recreate (two of its pods must never run at once)"
NO_RESTART = Permissions(restart=False)
NOT_RESTARTED = (
    f"{CONFLICT}, and memroll was installed without the right to restart workloads: "
    "set restart.enabled in the chart, or roll.strategy: Evict"
)
PAUSED = f"{CONFLICT}, and Deployment/leaky is paused: resume it, or roll.strategy: Evict"
MAX_SURGE_0 = "Deployment/leaky has maxSurge 0: it allows no additional pod"
FULL = workload(must_not_surge_because=MAX_SURGE_0)
BY_HASH = "Service chat selects the pod by its label pod-template-hash"
NO_ROOM = "no node has room for a second copy of the pod: 2 of 2 without a free nvidia.com/gpu"
AUTO, SURGE, EVICT, RESTART = Strategy.AUTO, Strategy.SURGE, Strategy.EVICT, Strategy.RESTART
FIRST = StrategyChoice(SURGE, "the replacement can be Ready before the pod leaves")
SET = "set in the spec"
UNIQUE = pod(exclusive_because="host port 80")


def refused(strategy: Strategy, reason: str) -> Unsupported:
    return Unsupported(f"strategy {strategy} is set in the spec, but {reason}")


CHOICES = [
    pytest.param(AUTO, {}, FIRST, id="Auto surges"),
    pytest.param(SURGE, {}, FIRST, id="Surge"),
    pytest.param(AUTO, {"workload": RECREATE}, StrategyChoice(RESTART, CONFLICT), id="Recreate is restarted"),
    pytest.param(
        AUTO, {"workload": RECREATE, "permissions": NO_RESTART}, Unsupported(NOT_RESTARTED),
        id="Recreate without the right to restart",
    ),
    pytest.param(AUTO, {"workload": PAUSED_RECREATE}, Unsupported(PAUSED), id="Recreate while it is paused"),
    pytest.param(
        AUTO, {"workload": RECREATE, "permissions": Permissions(surge=False)}, StrategyChoice(RESTART, CONFLICT),
        id="Recreate without the right to surge",
    ),
    pytest.param(
        AUTO, {"workload": RECREATE, "pod": UNIQUE}, StrategyChoice(RESTART, CONFLICT),
        id="Recreate of a pod that can't exist twice",
    ),
    pytest.param(EVICT, {"workload": RECREATE}, StrategyChoice(EVICT, SET), id="Recreate with Evict"),
    pytest.param(SURGE, {"workload": RECREATE}, refused(SURGE, CONFLICT), id="Recreate with Surge"),
    pytest.param(AUTO, {"workload": FULL}, StrategyChoice(EVICT, MAX_SURGE_0), id="maxSurge 0"),
    pytest.param(SURGE, {"workload": FULL}, refused(SURGE, MAX_SURGE_0), id="maxSurge 0 with Surge"),
    pytest.param(RESTART, {"workload": FULL}, StrategyChoice(RESTART, SET), id="maxSurge 0 with Restart"),
    pytest.param(AUTO, {"hash_selector": BY_HASH}, StrategyChoice(EVICT, BY_HASH), id="selected by its hash"),
    pytest.param(SURGE, {"hash_selector": BY_HASH}, refused(SURGE, BY_HASH), id="selected by its hash, with Surge"),
    pytest.param(EVICT, {"hash_selector": BY_HASH}, StrategyChoice(EVICT, SET), id="selected by its hash, with Evict"),
    pytest.param(AUTO, {"missing_room": NO_ROOM}, StrategyChoice(EVICT, NO_ROOM), id="no room"),
    pytest.param(SURGE, {"missing_room": NO_ROOM}, FIRST, id="no room, with Surge: an autoscaler may add a node"),
    pytest.param(AUTO, {"missing_room": NO_ROOM, "workload": RECREATE}, StrategyChoice(RESTART, CONFLICT),
                 id="no room, with Recreate"),
    pytest.param(
        RESTART, {"hash_selector": BY_HASH}, StrategyChoice(RESTART, SET), id="selected by its hash, with Restart"
    ),
]  # fmt: skip


@pytest.mark.parametrize(("requested", "parts", "expected"), CHOICES)
def test_a_pod_is_surged_only_where_two_may_run_and_the_released_one_keeps_serving(requested, parts, expected):
    assert choose(requested, **({"pod": pod(), "workload": workload()} | parts)) == expected


@pytest.mark.parametrize(
    ("api_version", "kind", "reason"),
    [
        pytest.param("batch/v1", "Job", "pods of a Job are not rolled: one that ends early would lose its work"),
        pytest.param(
            "v1", "ReplicationController",
            "pods of a ReplicationController (v1) are not rolled: memroll supports "
            "DaemonSet, Deployment, ReplicaSet, Rollout, StatefulSet",
        ),
        pytest.param(
            "apps.kruise.io/v1alpha1", "CloneSet",
            "pods of a CloneSet (apps.kruise.io/v1alpha1) are not rolled: memroll supports "
            "DaemonSet, Deployment, ReplicaSet, Rollout, StatefulSet",
        ),
    ],
)  # fmt: skip
def test_a_workload_of_another_kind_is_refused_with_the_true_reason(api_version, kind, reason):
    owner = ObjectRef(api_version, kind, "chat", "uid")
    assert choose(AUTO, pod(), workload(owner=owner)) == Unsupported(reason)


@pytest.mark.parametrize("requested", [AUTO, SURGE, EVICT, RESTART])
def test_without_the_right_to_act_no_strategy_is_chosen(requested):
    unsupported = choose(requested, pod(), RECREATE, Permissions(acting=False), BY_HASH)
    assert unsupported == Unsupported("memroll was installed without the right to act on pods")


def test_every_strategy_of_the_api_is_registered_once():
    assert sorted(s.strategy for s in STRATEGIES) == sorted(set(Strategy) - {AUTO})
    assert strategy_of(AUTO) is None
