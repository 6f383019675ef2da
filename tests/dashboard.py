"""Queries of the chart's Grafana dashboard, as Grafana sends them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

FILE = Path(__file__).parents[1] / "deploy/helm/memroll/files/dashboards/memroll.json"
RATE_INTERVAL = "1m"
"""Four scrape intervals or more, as Grafana calculates `$__rate_interval`."""


@dataclass(frozen=True, slots=True)
class PanelQuery:
    """One query of a panel, with all variables replaced."""

    panel: str
    expression: str


def load() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return loaded


def panels() -> list[dict[str, Any]]:
    """Return all panels but the rows."""
    return [panel for panel in load()["panels"] if panel["type"] != "row"]


def queries(namespace: str = ".*") -> Iterator[PanelQuery]:
    """Yield all queries, for the policies of the namespaces that match a regular expression."""
    values = {"$namespace": namespace, "$policy": ".*", "$__rate_interval": RATE_INTERVAL}
    for panel in panels():
        for target in panel["targets"]:
            expression = str(target["expr"])
            for variable, value in values.items():
                expression = expression.replace(variable, value)
            yield PanelQuery(panel["title"], expression)
