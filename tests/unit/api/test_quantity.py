from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memroll.api.quantity import (
    CountOrShare,
    GrowthRate,
    Lead,
    about,
    format_duration,
    parse_bytes,
    parse_duration,
    parse_share,
)


@pytest.mark.parametrize(
    ("text", "seconds"), [("6h", 21600), ("1h30m", 5400), ("45s", 45), ("90m", 5400), ("1h1m1s", 3661)]
)
def test_a_duration_is_read(text, seconds):
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "6", "6 h", "-5m", "1.5h", "2d", "\u0661h", "6h ", None, 5, "h", "999999h"])
def test_what_is_no_duration_is_refused_with_the_value_and_what_is_allowed(text):
    with pytest.raises(ValueError, match="hours, minutes and seconds") as refused:
        parse_duration(text)
    assert repr(text) in str(refused.value)


@given(st.integers(min_value=0, max_value=99_999 * 3600))
def test_a_written_duration_reads_back(seconds):
    assert parse_duration(format_duration(timedelta(seconds=seconds))) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("text", "count"),
    [("20Mi", 20 * 2**20), ("1.5Gi", 3 * 2**29), ("500M", 500_000_000), ("7", 7), ("0.5k", 500), ("1.001Ki", 1025)],
)
def test_a_quantity_of_bytes_is_read(text, count):
    assert parse_bytes(text) == count


@pytest.mark.parametrize("text", ["", "NaN", "Infinity", "1_000Mi", "10 Mi", "-1Mi", "1e3", "5m", True, None, "1.Mi"])
def test_what_is_no_quantity_is_refused(text):
    with pytest.raises(ValueError, match="quantity of bytes"):
        parse_bytes(text)


@pytest.mark.parametrize(("text", "share"), [("0.5%", 0.005), ("95%", 0.95), ("100%", 1.0), ("0%", 0.0)])
def test_a_share_is_read(text, share):
    assert parse_share(text) == pytest.approx(share)


@pytest.mark.parametrize("text", ["101%", "-1%", "5", "5 %", "1e1%", "%", 0.5])
def test_what_is_no_share_is_refused(text):
    with pytest.raises(ValueError, match="from 0% to 100%"):
        parse_share(text)


def test_a_growth_rate_is_a_share_of_the_limit_or_bytes():
    assert GrowthRate.parse("0.5%").of(200) == pytest.approx(1.0)
    assert GrowthRate.parse("0.5%").of(None) is None
    assert GrowthRate.parse("20Mi").of(None) == 20 * 2**20


@pytest.mark.parametrize("text", ["0%", "0", "0Mi"])
def test_a_growth_of_nothing_is_refused(text):
    with pytest.raises(ValueError, match="above zero"):
        GrowthRate.parse(text)


@pytest.mark.parametrize(
    ("value", "replicas", "allowed"),
    [(1, 9, 1), ("3", 2, 3), ("25%", 10, 3), ("25%", 1, 1), ("100%", 4, 4), ("1%", 4, 1)],
)
def test_a_count_or_share_of_replicas(value, replicas, allowed):
    assert CountOrShare.parse(value).of(replicas) == allowed


@pytest.mark.parametrize("value", [0, -1, "0", True, "many", 10_000, None])
def test_what_is_no_count_of_pods_is_refused(value):
    with pytest.raises(ValueError, match="count of at least 1"):
        CountOrShare.parse(value)


def test_a_lead_is_auto_or_a_duration():
    assert Lead.parse("Auto").fixed is None
    assert Lead.parse("2h").fixed == timedelta(hours=2)
    with pytest.raises(ValueError, match="Auto, or a duration"):
        Lead.parse("auto")


@pytest.mark.parametrize(
    ("seconds", "words"), [(45.4, "45s"), (119, "119s"), (700, "12m"), (12000, "3h20m"), (95000, "26h"), (-3, "0s")]
)
def test_times_are_said_as_a_person_would(seconds, words):
    assert about(seconds) == words
