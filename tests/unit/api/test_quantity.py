from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memroll.api.quantity import (
    AutoOrDuration,
    CountOrPercentage,
    GrowthRate,
    format_duration,
    humanize_duration,
    parse_bytes,
    parse_duration,
    parse_percentage,
    parse_usage_threshold,
)


@pytest.mark.parametrize(
    ("text", "seconds"), [("6h", 21600), ("1h30m", 5400), ("45s", 45), ("90m", 5400), ("1h1m1s", 3661)]
)
def test_a_duration_is_parsed(text, seconds):
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "6", "6 h", "-5m", "1.5h", "2d", "\u0661h", "6h ", None, 5, "h", "999999h"])
def test_an_invalid_duration_is_refused_with_its_value_and_the_format(text):
    with pytest.raises(ValueError, match="hours, minutes and seconds") as refused:
        parse_duration(text)
    assert repr(text) in str(refused.value)


@given(st.integers(min_value=0, max_value=99_999 * 3600))
def test_a_formatted_duration_is_parsed_back(seconds):
    assert parse_duration(format_duration(timedelta(seconds=seconds))) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("text", "count"),
    [("20Mi", 20 * 2**20), ("1.5Gi", 3 * 2**29), ("500M", 500_000_000), ("7", 7), ("0.5k", 500), ("1.001Ki", 1025)],
)
def test_a_quantity_of_bytes_is_parsed(text, count):
    assert parse_bytes(text) == count


@pytest.mark.parametrize("text", ["", "NaN", "Infinity", "1_000Mi", "10 Mi", "-1Mi", "1e3", "5m", True, None, "1.Mi"])
def test_an_invalid_quantity_is_refused(text):
    with pytest.raises(ValueError, match="quantity of bytes"):
        parse_bytes(text)


@pytest.mark.parametrize(("text", "ratio"), [("0.5%", 0.005), ("95%", 0.95), ("100%", 1.0), ("0%", 0.0)])
def test_a_percentage_is_parsed(text, ratio):
    assert parse_percentage(text) == pytest.approx(ratio)


@pytest.mark.parametrize("text", ["101%", "-1%", "5", "5 %", "1e1%", "%", 0.5])
def test_an_invalid_percentage_is_refused(text):
    with pytest.raises(ValueError, match="from 0% to 100%"):
        parse_percentage(text)


def test_a_growth_rate_is_a_percentage_of_the_limit_or_bytes():
    assert GrowthRate.parse("0.5%").to_bytes_per_hour(200) == pytest.approx(1.0)
    assert GrowthRate.parse("0.5%").to_bytes_per_hour(None) is None
    assert GrowthRate.parse("20Mi").to_bytes_per_hour(None) == 20 * 2**20


@pytest.mark.parametrize("text", ["0%", "0", "0Mi"])
def test_a_growth_rate_of_zero_is_refused(text):
    with pytest.raises(ValueError, match="above zero"):
        GrowthRate.parse(text)


@pytest.mark.parametrize(
    ("value", "replicas", "allowed"),
    [(1, 9, 1), ("3", 2, 3), ("25%", 10, 3), ("25%", 1, 1), ("100%", 4, 4), ("1%", 4, 1)],
)
def test_a_count_or_percentage_of_replicas(value, replicas, allowed):
    assert CountOrPercentage.parse(value).to_count(replicas) == allowed


@pytest.mark.parametrize("value", [0, -1, "0", True, "many", 10_000, None])
def test_an_invalid_count_of_pods_is_refused(value):
    with pytest.raises(ValueError, match="count of at least 1"):
        CountOrPercentage.parse(value)


def test_a_lead_time_is_auto_or_a_duration():
    assert AutoOrDuration.parse("Auto").fixed is None
    assert AutoOrDuration.parse("2h").fixed == timedelta(hours=2)
    with pytest.raises(ValueError, match="Auto, or a duration"):
        AutoOrDuration.parse("auto")


@pytest.mark.parametrize(
    ("seconds", "words"), [(45.4, "45s"), (119, "119s"), (700, "12m"), (12000, "3h20m"), (95000, "26h"), (-3, "0s")]
)
def test_durations_are_rounded_for_people(seconds, words):
    assert humanize_duration(seconds) == words


@pytest.mark.parametrize(("text", "ratio"), [("10%", 0.1), ("95%", 0.95), ("99.5%", 0.995), ("100%", 1.0)])
def test_a_usage_threshold_is_parsed(text, ratio):
    assert parse_usage_threshold(text) == pytest.approx(ratio)


@pytest.mark.parametrize("text", ["0%", "0.9%", "9.999%", "101%", "100.5%", "0.9", 0.9, 90, None, "90 %"])
def test_a_usage_threshold_that_would_roll_every_pod_is_refused(text):
    with pytest.raises(ValueError, match="is not a percentage from 10% to 100%, such as 95%"):
        parse_usage_threshold(text)
