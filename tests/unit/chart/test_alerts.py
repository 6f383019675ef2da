"""The alerts on the operator and on the services, tested with promtool, and their runbooks."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.unit.chart.metric_names import unknown_in
from tests.unit.chart.rendering import ROOT, of_kind

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.chart.rendering import Helm, Manifest

RUNBOOKS = ROOT / "docs/runbooks.md"
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
    f'memroll_leaking_workloads{{namespace="ai",policy="chat",{INSTANCE}}}': "0x20 1x5 0x125",
    f'memroll_leaking_workloads{{namespace="ai",policy="chat",{STANDBY}}}': "2x150",
    f'memroll_last_oom_kill_timestamp_seconds{{namespace="ai",policy="chat",{INSTANCE}}}': "_x10 600x140",
    f'memroll_last_oom_kill_timestamp_seconds{{namespace="ai",policy="agents",{INSTANCE}}}': "_x10 600x140",
    f'memroll_last_oom_kill_timestamp_seconds{{namespace="ai",policy="chat",{STANDBY}}}': "9000x150",
    f'memroll_policy_info{{namespace="ai",policy="chat",mode="Enforce",{INSTANCE}}}': "1x150",
    f'memroll_policy_info{{namespace="ai",policy="agents",mode="Observe",{INSTANCE}}}': "1x150",
    f'memroll_policy_info{{namespace="ai",policy="chat",mode="Enforce",{STANDBY}}}': "1x150",
    f'memroll_roll_effects_total{{namespace="ai",policy="chat",effect="Ineffective",{INSTANCE}}}': "0x85 1x65",
    f'memroll_roll_effects_total{{namespace="ai",policy="chat",effect="Effective",{INSTANCE}}}': "_x30 1x120",
    f'memroll_task_restarts_total{{task="resync",{INSTANCE}}}': "0x7 1x142",
    f'memroll_last_reconcile_timestamp_seconds{{namespace="ai",policy="chat",{INSTANCE}}}': "0x150",
}
EXPECTED = {
    "7m": ["RollsFail"],
    "20m": ["RollsFail", "Down", "OOMKillDespitePolicy", "PrometheusUnreachable", "TaskRestarts"],
    "65m": ["Down", "OOMKillDespitePolicy", "PrometheusUnreachable", "RollRateLimited", "TaskRestarts"],
    "75m": ["Down", "PrometheusUnreachable", "CannotKeepUp", "RollRateLimited"],
    "83m": ["Down", "PrometheusUnreachable", "WorkloadLeaks"],
    "90m": ["Down", "PrometheusUnreachable", "PodsHeld", "RollsIneffective", "WorkloadLeaks"],
    "128m": ["Down", "PrometheusUnreachable", "PolicyNotReconciled", "RollsIneffective", "WorkloadLeaks"],
    "140m": ["Down", "RollsIneffective", "WithoutLeader"],
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


def alerts(helm: Helm, *sets: str) -> dict[str, Manifest]:
    return {rule["alert"]: rule for group in rules(helm, *sets)["groups"] for rule in group["rules"]}


def test_the_alerts_fire_when_they_should(helm: Helm, tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("there is no promtool on the PATH")
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rules(helm)))
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(alert_tests()))
    for command in (["check", "rules", "rules.yaml"], ["test", "rules", "test.yaml"]):
        done = subprocess.run([promtool, *command], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tested(helm: Helm) -> None:
    assert {f"Memroll{name}" for firing in EXPECTED.values() for name in firing} == alerts(helm).keys()


def test_an_alert_can_be_left_out_and_labelled(helm: Helm) -> None:
    changed = alerts(
        helm, "metrics.prometheusRule.disabled=[MemrollDown]", "metrics.prometheusRule.alertLabels={severity: page}"
    )
    assert alerts(helm).keys() - changed.keys() == {"MemrollDown"}
    assert {alert["labels"]["severity"] for alert in changed.values()} == {"page"}


def test_every_alert_can_be_left_out(helm: Helm) -> None:
    names = list(alerts(helm))
    assert rules(helm, f"metrics.prometheusRule.disabled={json.dumps(names)}") == {"groups": []}


def test_the_alerts_use_only_what_is_exported(helm: Helm) -> None:
    assert [unknown for alert in alerts(helm).values() for unknown in unknown_in(alert["expr"])] == []


def test_each_alert_links_to_its_heading_of_the_runbooks(helm: Helm) -> None:
    headings = re.findall(r"^### (Memroll\w+)$", RUNBOOKS.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(headings) == sorted(alerts(helm))
    urls = {name: alert["annotations"]["runbook_url"] for name, alert in alerts(helm).items()}
    assert urls == {name: f"docs/runbooks.md#{name.lower()}" for name in headings}


def test_the_base_of_the_runbooks_can_be_set(helm: Helm) -> None:
    alert = alerts(helm, "metrics.prometheusRule.runbookBaseUrl=https://wiki.example.com/memroll")["MemrollDown"]
    assert alert["annotations"]["runbook_url"] == "https://wiki.example.com/memroll#memrolldown"


@pytest.mark.parametrize("part", ["Meaning", "Look at", "Do"])
def test_each_runbook_has_every_part(part: str) -> None:
    sections = RUNBOOKS.read_text(encoding="utf-8").split("\n### Memroll")[1:]
    assert [section.splitlines()[0] for section in sections if f"**{part}.**" not in section] == []
