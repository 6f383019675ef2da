"""The Grafana dashboard: its ConfigMap, its queries and its layout."""

from __future__ import annotations

import json
import shutil
import subprocess
from itertools import combinations
from typing import TYPE_CHECKING

import pytest
import yaml

from tests import dashboard
from tests.unit.chart.metric_names import unknown_in
from tests.unit.chart.rendering import named

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.chart.rendering import Helm

COLUMNS = 24
QUERIES = list(dashboard.queries())


def test_the_config_map_is_made_for_grafanas_sidecar(helm: Helm) -> None:
    assert "memroll-dashboard" not in {m["metadata"]["name"] for m in helm.render()}
    found = named(
        helm.render("dashboard.enabled=true", "dashboard.namespace=grafana"), "ConfigMap", "memroll-dashboard"
    )
    assert found["metadata"]["namespace"] == "grafana"
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert found["metadata"]["annotations"] == {"grafana_folder": "memroll"}
    assert json.loads(found["data"]["memroll.json"]) == dashboard.load()


def test_the_label_of_another_sidecar_can_be_set(helm: Helm) -> None:
    found = named(
        helm.render("dashboard.enabled=true", "dashboard.labels={grafana_dashboard: null, dashboards: 'yes'}"),
        "ConfigMap",
        "memroll-dashboard",
    )
    assert "grafana_dashboard" not in found["metadata"]["labels"]
    assert found["metadata"]["labels"]["dashboards"] == "yes"


@pytest.mark.parametrize("query", QUERIES, ids=lambda q: q.panel)
def test_a_query_uses_only_what_is_exported(query: dashboard.PanelQuery) -> None:
    assert list(unknown_in(query.expression)) == []
    assert "$" not in query.expression, "a variable that the dashboard does not have"


def test_unknown_metrics_labels_and_values_are_found() -> None:
    assert list(unknown_in('sum(memroll_pod{policy="a"})')) == ["memroll_pod"]
    assert list(unknown_in('memroll_pods{gate="Budget"}')) == ["memroll_pods{gate}"]
    assert list(unknown_in('memroll_pods{verdict="bad"} + kube_pod_info')) == [
        'memroll_pods{verdict="bad"}',
        "kube_pod_info",
    ]


def test_every_query_is_valid_promql(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("there is no promtool on the PATH")
    rules = [{"record": f"panel:{number}", "expr": query.expression} for number, query in enumerate(QUERIES)]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = subprocess.run(
        [promtool, "check", "rules", "rules.yaml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_panel_and_query_uses_the_selected_data_source() -> None:
    selected = {"type": "prometheus", "uid": "${datasource}"}
    sources = [part["datasource"] for panel in dashboard.panels() for part in (panel, *panel["targets"])]
    assert all(source == selected for source in sources)
    assert [v["name"] for v in dashboard.load()["templating"]["list"]] == ["datasource", "namespace", "policy"]


def test_every_panel_is_described_and_has_a_unit() -> None:
    panels = dashboard.panels()
    assert len({panel["id"] for panel in dashboard.load()["panels"]}) == len(dashboard.load()["panels"])
    assert len({panel["title"] for panel in panels}) == len(panels)
    assert [p["title"] for p in panels if not p["description"] or not p["fieldConfig"]["defaults"]["unit"]] == []


def test_no_two_panels_overlap() -> None:
    def cells(panel: dict[str, dict[str, int]]) -> set[tuple[int, int]]:
        at = panel["gridPos"]
        return {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}

    found = dashboard.load()["panels"]
    assert [p["title"] for p in found if p["gridPos"]["x"] + p["gridPos"]["w"] > COLUMNS] == []
    assert [(a["title"], b["title"]) for a, b in combinations(found, 2) if cells(a) & cells(b)] == []
