"""The few numbers that a detector comes down to, by hand."""

from __future__ import annotations

import pytest

from memroll.backtest.summary import Alarm, as_json, by_label, summarise
from tests.unit.backtest.histories import HOUR, trace


def life(hours, name="t", **known):
    return trace([0.0, hours * HOUR], [1, 1], name=name, **known)


def test_lead_and_waste_are_measured_from_the_kernel_s_kill():
    alarm = Alarm(life(10, oom_s=10 * HOUR), acted_s=8 * HOUR)
    assert alarm.lead_s == 2 * HOUR
    assert alarm.wasted_share == pytest.approx(0.2)


@pytest.mark.parametrize(("oom_h", "acted_h"), [(None, 5), (10, None), (10, 10), (10, 11)])
def test_there_is_no_lead_without_a_kill_or_an_earlier_action(oom_h, acted_h):
    alarm = Alarm(
        life(12, oom_s=None if oom_h is None else oom_h * HOUR), acted_s=None if acted_h is None else acted_h * HOUR
    )
    assert (alarm.lead_s, alarm.wasted_share) == (None, None)


def test_everything_is_counted():
    found = summarise(
        [
            Alarm(life(24, oom_s=24 * HOUR, onset_s=2 * HOUR), 20 * HOUR, 3 * HOUR, 4 * HOUR),
            Alarm(life(48, oom_s=48 * HOUR, onset_s=30 * HOUR), 47.5 * HOUR, 31 * HOUR, 36 * HOUR),
            Alarm(life(24, oom_s=24 * HOUR), None, 1 * HOUR),
            Alarm(life(24, onset_s=20 * HOUR), 10 * HOUR, 10 * HOUR, 10 * HOUR),
        ]
    )
    assert (found.traces, found.pod_days) == (4, 5.0)
    assert (found.suspected, found.confirmed, found.acted_on) == (4, 3, 3)
    assert found.acted_per_1000_pod_days == 600
    assert found.acted_before_onset == 1
    assert (found.ooms, found.saved, found.saved_1h) == (3, 2, 1)
    assert (found.lead_median_s, found.lead_least_s) == (2.25 * HOUR, 0.5 * HOUR)
    assert found.wasted_share_median == pytest.approx((4 / 24 + 0.5 / 48) / 2)
    assert found.confirmed_after_onset_median_s == 4 * HOUR


def test_nothing_at_all_is_summarised_as_well():
    assert summarise([]).acted_per_1000_pod_days is None


def test_labels_are_summarised_each_for_itself():
    alarms = [Alarm(life(24, label="leak"), 5.0), Alarm(life(24, label="no-leak"), None), Alarm(life(24), 5.0)]
    assert list(by_label(alarms)) == ["leak", "no-leak"]
    found = as_json(alarms)
    assert found["acted_on"] == 2
    assert {label: part["acted_on"] for label, part in found["labels"].items()} == {"leak": 1, "no-leak": 0}
