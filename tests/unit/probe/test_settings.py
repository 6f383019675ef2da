from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memroll_probe.settings import ProbeSettings
from tests.unit.probe.harness import ROOT


def test_the_probe_is_off_by_default():
    assert ProbeSettings.from_environment({}) == ProbeSettings()
    assert not ProbeSettings().enabled


@pytest.mark.parametrize("value", ["0", "", "true", "yes", "on", " 1"])
def test_only_a_one_switches_it_on(value):
    assert not ProbeSettings.from_environment({"MEMROLL_PROBE": value}).enabled


def test_every_setting_can_be_set():
    read = ProbeSettings.from_environment(
        {
            "MEMROLL_PROBE": "1",
            "MEMROLL_PROBE_TOKEN": " secret\n",
            "MEMROLL_PROBE_PATH": "internal/memory/",
            "MEMROLL_PROBE_PORT": "9999",
            "MEMROLL_PROBE_FRAMES": "5",
            "MEMROLL_PROBE_WARMUP_SECONDS": "300",
            "MEMROLL_PROBE_SETTLE_SECONDS": "1.5",
            "MEMROLL_PROBE_TRACE_SECONDS": "90",
            "MEMROLL_PROBE_INTERVAL_SECONDS": "0",
            "MEMROLL_PROBE_TIME_SHARE": "0.1",
            "MEMROLL_PROBE_BUDGET_SECONDS": "2",
            "MEMROLL_PROBE_MAX_BYTES": "4096",
            "MEMROLL_PROBE_DEEP": "1",
        }
    )
    assert read == ProbeSettings(
        enabled=True,
        token="secret",
        path="/internal/memory",
        port=9999,
        frames=5,
        warmup_s=300.0,
        settle_s=1.5,
        trace_s=90.0,
        interval_s=0.0,
        time_ratio=0.1,
        budget_s=2.0,
        max_bytes=4096,
        deep=True,
    )


@pytest.mark.parametrize("value", ["many", "0", "51", "nan", "1e999", "-1"])
def test_a_bad_value_is_named_and_the_default_used(value):
    read = ProbeSettings.from_environment({"MEMROLL_PROBE_FRAMES": value})
    assert read.frames == 1
    assert read.errors == ("MEMROLL_PROBE_FRAMES is not a number from 1 to 50: 1 is used",)


NAMES = ("PORT", "FRAMES", "WARMUP_SECONDS", "SETTLE_SECONDS", "TIME_SHARE", "BUDGET_SECONDS", "MAX_BYTES", "PATH")


@given(st.dictionaries(st.sampled_from([f"MEMROLL_PROBE_{n}" for n in NAMES]), st.text(max_size=20)))
def test_no_environment_stops_a_service(environ):
    read = ProbeSettings.from_environment(environ)
    assert read.path.startswith("/")
    assert 1 <= read.frames <= 50
    assert read.budget_s <= 60


def test_every_setting_is_documented():
    text = (ROOT / "docs/probe.md").read_text(encoding="utf-8")
    source = (ROOT / "probe/memroll_probe/settings.py").read_text(encoding="utf-8")
    for name in (*NAMES, "TOKEN", "DEEP", "INTERVAL_SECONDS"):
        assert name in source
        assert f"| `MEMROLL_PROBE_{name}` |" in text
