"""The alerts on the operator, tested with promtool."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml

from memroll.reporting.metrics import Metrics
from tests.unit.chart.rendering import of_kind

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.chart.rendering import Helm, Manifest

# Number of firing alerts by name.
FIRING = 'count by (alertname) (ALERTS{alertstate="firing"})'
INSTANCE, STANDBY = 'job="m",instance="i"', 'job="m",instance="j"'
SERIES = {
    f'memroll_rolls_total{{namespace="ai",policy="chat",outcome="Failed",{INSTANCE}}}': "_x5 1x150",
    f'memroll_connection_up{{connection="default",{INSTANCE}}}': "0x150",
    f'memroll_connection_up{{connection="default",{STANDBY}}}': "0x150",
    f'memroll_leader{{namespace="memroll-system",{INSTANCE}}}': "1x130 0x20",
    f'memroll_leader{{namespace="memroll-system",{STANDBY}}}': "0x150",
    f'memroll_roll_rate_limited{{namespace="ai",policy="chat",{INSTANCE}}}': "0x60 1x20 0x70",
    f'memroll_roll_rate_limited{{namespace="ai",policy="agents",{INSTANCE}}}': "0x60 1x10 0x80",
    f'memroll_roll_rate_limited{{namespace="ai",policy="chat",{STANDBY}}}': "1x150",
    f'memroll_held_pods{{namespace="ai",policy="chat",{INSTANCE}}}': "0x80 2x20 0x50",
    f'memroll_cannot_keep_up{{namespace="ai",policy="chat",{INSTANCE}}}': "0x70 1x10 0x70",
    f'memroll_cannot_keep_up{{namespace="ai",policy="chat",{STANDBY}}}': "1x150",
    f'memroll_task_restarts_total{{task="resync",{INSTANCE}}}': "0x7 1x142",
    f'memroll_last_reconcile_timestamp_seconds{{namespace="ai",policy="chat",{INSTANCE}}}': "0x150",
}
EXPECTED = {
    "7m": ["RollsFail"],
    "20m": ["RollsFail", "Down", "PrometheusUnreachable", "TaskRestarts"],
    "65m": ["Down", "PrometheusUnreachable", "RollRateLimited", "TaskRestarts"],
    "75m": ["Down", "PrometheusUnreachable", "CannotKeepUp", "RollRateLimited"],
    "83m": ["Down", "PrometheusUnreachable"],
    "90m": ["Down", "PrometheusUnreachable", "PodsHeld"],
    "128m": ["Down", "PrometheusUnreachable", "PolicyNotReconciled"],
    "140m": ["Down", "WithoutLeader"],
}


def alert_tests() -> Manifest:
    expressions = [
        {
            "expr": FIRING,
            "eval_time": at,
            "exp_samples": [{"labels": f'{{alertname="Memroll{name}"}}', "value": 1} for name in firing],
        }
        for at, firing in EXPECTED.items()
    ]
    series = [{"series": name, "values": values} for name, values in SERIES.items()]
    test = {"interval": "1m", "input_series": series, "promql_expr_test": expressions}
    return {"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": [test]}


def rules(helm: Helm, *sets: str) -> Manifest:
    spec: Manifest = of_kind(helm.render("metrics.prometheusRule.enabled=true", *sets), "PrometheusRule")[0]["spec"]
    return spec


def test_the_alerts_fire_when_they_should(helm: Helm, tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("there is no promtool on the PATH")
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rules(helm)))
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(alert_tests()))
    for command in (["check", "rules", "rules.yaml"], ["test", "rules", "test.yaml"]):
        done = subprocess.run([promtool, *command], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_an_alert_can_be_left_out_and_labelled(helm: Helm) -> None:
    alerts = rules(
        helm, "metrics.prometheusRule.disabled=[MemrollDown]", "metrics.prometheusRule.alertLabels={severity: page}"
    )["groups"][0]["rules"]
    assert "MemrollDown" not in {alert["alert"] for alert in alerts}
    assert {alert["labels"]["severity"] for alert in alerts} == {"page"}


def test_the_alerts_use_metrics_that_exist(helm: Helm) -> None:
    published = {metric.name for metric in Metrics().registry.collect()}
    used = {word for rule in rules(helm)["groups"][0]["rules"] for word in re.findall(r"memroll_\w+", rule["expr"])}
    assert {word.removesuffix("_total") for word in used} <= {name.removesuffix("_total") for name in published}
