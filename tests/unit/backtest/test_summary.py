"""Summaries of a detector's alerts, worked out by hand."""

from __future__ import annotations

import pytest

from memroll.backtest.summary import Alert, group_by_label, summarise, to_dict
from tests.unit.backtest.histories import HOUR, trace


def life(hours, name="t", **known):
    return trace([0.0, hours * HOUR], [1, 1], name=name, **known)


def test_lead_time_and_wasted_lifetime_are_measured_from_the_oom_kill():
    alert = Alert(life(10, oom_s=10 * HOUR), rolled_s=8 * HOUR)
    assert alert.lead_time_s == 2 * HOUR
    assert alert.wasted_ratio == pytest.approx(0.2)


@pytest.mark.parametrize(("oom_h", "rolled_h"), [(None, 5), (10, None), (10, 10), (10, 11)])
def test_there_is_no_lead_time_without_an_oom_kill_after_the_roll(oom_h, rolled_h):
    alert = Alert(
        life(12, oom_s=None if oom_h is None else oom_h * HOUR), rolled_s=None if rolled_h is None else rolled_h * HOUR
    )
    assert (alert.lead_time_s, alert.wasted_ratio) == (None, None)


def test_everything_is_counted():
    found = summarise(
        [
            Alert(life(24, oom_s=24 * HOUR, onset_s=2 * HOUR), 20 * HOUR, 3 * HOUR, 4 * HOUR),
            Alert(life(48, oom_s=48 * HOUR, onset_s=30 * HOUR), 47.5 * HOUR, 31 * HOUR, 36 * HOUR),
            Alert(life(24, oom_s=24 * HOUR), None, 1 * HOUR),
            Alert(life(24, onset_s=20 * HOUR), 10 * HOUR, 10 * HOUR, 10 * HOUR),
        ]
    )
    assert (found.traces, found.pod_days) == (4, 5.0)
    assert (found.suspected, found.confirmed, found.rolled) == (4, 3, 3)
    assert found.rolled_per_1000_pod_days == 600
    assert found.rolled_before_onset == 1
    assert (found.ooms, found.saved, found.saved_1h) == (3, 2, 1)
    assert (found.lead_time_median_s, found.lead_time_min_s) == (2.25 * HOUR, 0.5 * HOUR)
    assert found.wasted_ratio_median == pytest.approx((4 / 24 + 0.5 / 48) / 2)
    assert found.confirmed_after_onset_median_s == 4 * HOUR


def test_traces_that_were_not_assessed_are_counted_apart_and_their_days_are_left_out():
    unknown = Alert(life(24, label="no-leak"), None, assessed=False)
    found = to_dict([unknown, Alert(life(24, label="no-leak"), 5.0), Alert(life(24, label="leak"), None)])
    assert (found["traces"], found["not_assessed"], found["pod_days"], found["rolled_per_1000_pod_days"]) == (
        3,
        1,
        2.0,
        500.0,
    )
    assert {label: part["not_assessed"] for label, part in found["labels"].items()} == {"no-leak": 1, "leak": 0}
    assert summarise([unknown]).rolled_per_1000_pod_days is None


def test_nothing_at_all_is_summarised_as_well():
    assert summarise([]).rolled_per_1000_pod_days is None


def test_labels_are_summarised_each_for_itself():
    alerts = [Alert(life(24, label="leak"), 5.0), Alert(life(24, label="no-leak"), None), Alert(life(24), 5.0)]
    assert list(group_by_label(alerts)) == ["leak", "no-leak"]
    found = to_dict(alerts)
    assert found["rolled"] == 2
    assert {label: part["rolled"] for label, part in found["labels"].items()} == {"leak": 1, "no-leak": 0}
