"""Faults of Prometheus: invalid, slow, empty, refused or partial responses. Nothing is rolled on bad data."""

from __future__ import annotations

import pytest

from tests.faults.short_cases import run_short_case

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(420)]


def test_nothing_is_rolled_on_bad_data_and_every_pod_once_the_data_is_good(cluster):
    measurements = run_short_case(cluster, "prometheus-faults")
    assert measurements["reported for unauthorized"] == "PrometheusReachable=False Unauthorized"
    assert measurements["reported for partial"] == "PrometheusReachable=False PartialData"
    assert measurements["restarts"] == 0
