"""Each CEL rule of a policy is checked in Python as well, with the same message."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from memroll.api import cel_rules
from memroll.api.cel_checks import violations
from memroll.api.policy import PolicySpec

SELECTOR = {"selector": {"matchLabels": {"app": "x"}}}
BROKEN = {
    "`interval` must be from 5s to 1h": [{"interval": "1s"}, {"interval": "2h"}],
    "`growth.window` must be from 30s to 168h": [
        {"growth": {"window": "10s", "for": "5s"}, "interval": "5s"},
        {"growth": {"window": "200h"}},
    ],
    "`interval` must not be longer than `growth.window`": [
        {"interval": "1h", "growth": {"window": "30m", "for": "5m"}}
    ],
    "`roll.replacementTimeout` must be from 5s to 6h": [
        {"roll": {"replacementTimeout": "1s"}},
        {"roll": {"replacementTimeout": "99h"}},
    ],
    "`roll.settle` must be at most 1h": [{"roll": {"settle": "2h"}}],
    "`roll.drain.minDuration` must not be longer than `roll.drain.timeout`, and that at most 6h": [
        {"roll": {"drain": {"timeout": "7h"}}},
    ],
}
CHECKED_BY_THE_MODEL = {
    "exactly one of `selector` and `targetRef` must be set",
    "`growth.for` must not be longer than `growth.window`",
    "`per` of each of `roll.budgets` must be at least 1m",
    "`evidence.timeout` must be from 1s to 60s",
}
CASES = [(message, spec) for message, specs in BROKEN.items() for spec in specs]


def test_every_rule_is_covered():
    assert {rule["message"] for rule in cel_rules.POLICY} == set(BROKEN) | CHECKED_BY_THE_MODEL


@pytest.mark.parametrize(("message", "spec"), CASES)
def test_a_broken_rule_is_named_by_the_api_server_s_message(message, spec):
    assert message in list(violations(PolicySpec.model_validate({"mode": "Observe", **SELECTOR, **spec})))


@pytest.mark.parametrize("spec", [{}, {"interval": "5s"}, {"interval": "1h"}, {"growth": {"window": "168h"}}])
def test_a_valid_policy_breaks_none(spec):
    assert list(violations(PolicySpec.model_validate({"mode": "Observe", **SELECTOR, **spec}))) == []


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"containers": ["app", "proxy", "app"]}, "`containers[2]`: Duplicate value: app"),
        (
            {"roll": {"maintenanceWindows": {"deny": [{"days": ["mon", "mon"]}]}}},
            "`roll.maintenanceWindows.deny[0].days[1]`: Duplicate value: mon",
        ),
    ],
)
def test_a_duplicate_in_a_set_is_refused(spec, message):
    assert list(violations(PolicySpec.model_validate({"mode": "Observe", **SELECTOR, **spec}))) == [message]


def test_a_target_of_another_kind_is_refused():
    ref = {"apiVersion": "v1", "kind": "Pod", "name": "x"}
    (found,) = violations(PolicySpec.model_validate({"mode": "Observe", "targetRef": ref}))
    assert found.startswith("`targetRef` must be an apps/v1 Deployment")
    valid = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "x"}
    assert list(violations(PolicySpec.model_validate({"mode": "Observe", "targetRef": valid}))) == []


@pytest.mark.parametrize(
    "spec",
    [
        {"selector": {}},
        {"growth": {"for": "7h"}},
        {"evidence": {"timeout": "2m"}},
        {"roll": {"budgets": [{"rolls": 1, "per": "1s"}]}},
        {"roll": {"drain": {"minDuration": "2m", "timeout": "1m"}}},
    ],
)
def test_the_other_rules_are_checked_by_the_model(spec):
    with pytest.raises(ValidationError):
        PolicySpec.model_validate({"mode": "Observe", **SELECTOR, **spec})
