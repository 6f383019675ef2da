"""The policy's file: the fields that a replay uses, and every way in which it can be invalid."""

from __future__ import annotations

import pytest

from memroll.backtest import policy
from memroll.errors import TerminalError
from tests.unit.backtest.histories import LIMIT

SPEC = "kind: MemoryPolicy\nspec:\n"


def test_without_a_file_every_default_counts():
    rule = policy.parameters_for(policy.default_policy(), LIMIT)
    assert (rule.window_s, rule.warm_up_s, rule.for_s, rule.interval_s) == (21600, 1800, 1800, 300)
    assert rule.threshold_bytes_per_s == pytest.approx(0.005 * LIMIT / 3600)
    assert rule.lead_time.fixed_s is None
    assert rule.lead_time.min_s == 3 * policy.ASSUMED_ROLL_S + 300


def test_a_file_needs_neither_mode_nor_selector(tmp_path):
    file = tmp_path / "p.yaml"
    file.write_text(f"{SPEC}  interval: 1m\n  growth: {{perHour: 20Mi}}\n  exhaustion: {{leadTime: 2h}}\n")
    rule = policy.parameters_for(policy.load(file), None)
    assert (rule.interval_s, rule.lead_time.fixed_s) == (60, 7200)
    assert rule.threshold_bytes_per_s == pytest.approx(20 * 2**20 / 3600)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("kind: Pod\n", ["kind", "'Pod'", "MemoryPolicy"]),
        ("- 1\n", ["kind", "MemoryPolicy"]),
        ("kind: MemoryPolicy\n", ["spec: None", "object"]),
        (f"{SPEC}  growth: {{window: 6 hours}}\n", ["spec.growth.window", "'6 hours'", "such as 6h"]),
        (
            f"{SPEC}  growth: {{windw: 6h}}\n",
            ["spec.growth.windw", "no such field", "for, perHour, warmUp, window"],
        ),
        (f"{SPEC}  growht: {{window: 6h}}\n", ["spec.growht", "no such field", "growth"]),
        (f"{SPEC}  selector: {{}}\n", ["spec.selector", "at least one of"]),
        ("a: b: c\n", ["not valid YAML in line 1"]),
        ("kind: MemoryPolicy\n---\nkind: MemoryPolicy\n", ["2 documents, must be one MemoryPolicy: split the file"]),
        ("", ["empty, must have one MemoryPolicy"]),
        ("kind: List\nitems: [{}, {}]\n", ["a List of 2 objects, must have one MemoryPolicy"]),
        (f"{SPEC}  interval: 1s\n", ["the API server would refuse this policy: `interval` must be from 5s to 1h"]),
        (
            f"{SPEC}  targetRef: {{apiVersion: v1, kind: Pod, name: x}}\n",
            ["the API server would refuse this policy: `targetRef` must be an apps/v1 Deployment"],
        ),
    ],
)
def test_an_error_names_field_value_and_what_is_allowed(tmp_path, text, parts):
    file = tmp_path / "p.yaml"
    file.write_text(text)
    with pytest.raises(TerminalError) as caught:
        policy.load(file)
    for part in (str(file), *parts):
        assert part in caught.value.message


def test_a_list_of_one_policy_is_read_as_kubectl_prints_it(tmp_path):
    file = tmp_path / "p.yaml"
    file.write_text("kind: List\nitems: [{kind: MemoryPolicy, spec: {interval: 1m}}]\n")
    assert policy.load(file).spec.interval.total_seconds() == 60


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(TerminalError, match=r"p\.yaml: No such file"):
        policy.load(tmp_path / "p.yaml")
