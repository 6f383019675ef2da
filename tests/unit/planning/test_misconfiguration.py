"""Settings of a valid policy that can't have their effect."""

from __future__ import annotations

from dataclasses import replace

import pytest

from memroll.model.permissions import ALL_PERMISSIONS
from memroll.planning.misconfiguration import find_misconfigurations
from tests.builders import NOW, container, pod, policy

POD = pod(containers=(container(), container(name="proxy")))
ALWAYS_DENIED = {"maintenanceWindows": {"allow": [{"start": "01:00", "end": "05:00"}], "deny": [{}]}}
CLOSED_NOW = {"maintenanceWindows": {"allow": [{"start": "01:00", "end": "01:01"}]}}
NO_ACTS, NO_RESTART = replace(ALL_PERMISSIONS, acting=False), replace(ALL_PERMISSIONS, restart=False)
NO_SURGE = replace(ALL_PERMISSIONS, surge=False)
MANY = [f"c{i}" for i in range(8)]


def found(spec, pods=(POD,), permissions=ALL_PERMISSIONS) -> dict[str, str]:
    return {m.reason.value: m.message for m in find_misconfigurations(policy(**spec).spec, pods, permissions, NOW)}


@pytest.mark.parametrize(
    ("spec", "more", "expected"),
    [
        pytest.param({}, {}, {}, id="the defaults"),
        pytest.param({"containers": ["app", "proxy"]}, {}, {}, id="containers that exist"),
        pytest.param(
            {"containers": ["ap"]}, {},
            {"ContainerNotFound": "containers: none of the watched pods has ap; they have app, proxy"}, id="a typo",
        ),
        pytest.param(
            {"containers": MANY}, {},
            {"ContainerNotFound": "containers: none of the watched pods has c0, c1, c2, c3, c4 and 3 more; "
                                  "they have app, proxy"}, id="many",
        ),
        pytest.param({"containers": ["ap"]}, {"pods": ()}, {}, id="no pods yet"),
        pytest.param(
            {"containers": ["ap"], "mode": "Observe"}, {},
            {"ContainerNotFound": "containers: none of the watched pods has ap; they have app, proxy"},
            id="a typo of a policy that only observes",
        ),
        pytest.param(
            {}, {"permissions": NO_ACTS},
            {"RollsNotPermitted": "mode: memroll was installed without the permission to roll pods: "
                                  "set enforcement.enabled in the chart"}, id="no permission to act",
        ),
        pytest.param({"mode": "Observe"}, {"permissions": NO_ACTS}, {}, id="none is needed to observe"),
        pytest.param(
            {"roll": {"strategy": "Restart"}}, {"permissions": NO_RESTART},
            {"StrategyNotPermitted": "roll.strategy: memroll was installed without the permission for Restart: "
                                     "set restart.enabled in the chart"}, id="no permission to restart",
        ),
        pytest.param({"roll": {"strategy": "Restart"}}, {}, {}, id="a restart that is permitted"),
        pytest.param(
            {"roll": {"strategy": "Surge"}}, {"permissions": NO_SURGE},
            {"StrategyNotPermitted": "roll.strategy: memroll was installed without the permission for Surge: "
                                     "set surge.enabled in the chart"}, id="no permission to surge",
        ),
        pytest.param({}, {"permissions": NO_SURGE}, {}, id="Auto needs neither"),
        pytest.param(
            {"roll": {"budgets": [{"rolls": 5, "per": "1h"}, {"rolls": 0, "per": "24h"}]}}, {},
            {"BudgetIsZero": "roll.budgets[1]: 0 rolls permit none; to only report leaks, use mode: Observe"},
            id="a budget of zero",
        ),
        pytest.param({"mode": "Observe", "roll": {"budgets": [{"rolls": 0, "per": "24h"}]}}, {}, {}, id="and Observe"),
        pytest.param(
            {"roll": ALWAYS_DENIED}, {},
            {"WindowsNeverOpen": "roll.maintenanceWindows: the windows never open: deny covers all of allow"},
            id="windows that never open",
        ),
        pytest.param({"roll": CLOSED_NOW}, {}, {}, id="windows that open later"),
        pytest.param(
            {"roll": {"strategy": "Evict", "drain": {"mode": "Detach"}}}, {},
            {"DrainWithoutSurge": "roll.drain.mode: Detach has no effect with roll.strategy: Evict; use Surge or Auto"},
            id="a drain without a surge",
        ),
        pytest.param({"roll": {"drain": {"mode": "Detach"}}}, {}, {}, id="a drain with Auto"),
    ],
)  # fmt: skip
def test_a_setting_without_effect_is_named_with_its_remedy(spec, more, expected):
    assert found(spec, **more) == expected


def test_all_settings_without_effect_are_named():
    spec = {"containers": ["ap"], "roll": {"strategy": "Restart", "budgets": [{"rolls": 0, "per": "24h"}]}}
    assert list(found(spec, permissions=NO_RESTART)) == ["ContainerNotFound", "StrategyNotPermitted", "BudgetIsZero"]
