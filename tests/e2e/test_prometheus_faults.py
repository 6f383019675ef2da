"""Prometheus wrong, slow, empty, refusing or partial: nothing is rolled on bad data."""

from __future__ import annotations

import pytest

from tests.faults.short import figures_of

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(420)]


def test_nothing_is_rolled_on_bad_data_and_all_is_when_it_is_good_again(cluster):
    figures = figures_of(cluster, "prometheus-faults")
    assert figures["said of unauthorized"] == "PrometheusReachable=False Unauthorized"
    assert figures["said of partial"] == "PrometheusReachable=False PartialData"
    assert figures["restarts"] == 0
