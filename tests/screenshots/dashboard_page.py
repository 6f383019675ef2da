"""The chart's Grafana dashboard as a page: its panels, its queries, the data of a Prometheus. For a person to look at.

Grafana itself is not available to the tests. `hack/screenshots --dashboard URL FOLDER` writes the page and pictures.
"""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import Any

import jinja2

from memroll import clock
from tests import dashboard

RANGE_S = 900
STEP_S = 5
COLOURS = ("#3b6ea5", "#c2410c", "#15803d", "#7c3aed", "#b91c1c", "#0e7490", "#a16207", "#be185d")
PAGE = """<!doctype html><meta charset="utf-8"><title>memroll dashboard</title><style>
:root { color-scheme: light dark } body { font: 13px/1.4 system-ui, sans-serif; margin: 16px }
main { display: grid; grid-template-columns: repeat(24, 1fr); gap: 8px; grid-auto-rows: 26px }
section { border: 1px solid #8886; border-radius: 6px; padding: 6px 8px; overflow: hidden; display: flex;
  flex-direction: column } h2 { font-size: 13px; margin: 0 } b { font-size: 22px } .quiet { opacity: .6 }
svg { flex: 1; min-height: 0; width: 100% } table { border-collapse: collapse } td, th { padding: 1px 10px 1px 0;
  text-align: left } i { display: inline-block; width: 9px; height: 9px; margin: 0 4px 0 10px }
</style><main>{% for p in panels %}
<section style="grid-column: {{ p.x + 1 }} / span {{ p.w }}; grid-row: {{ p.y }} / span {{ p.h }}">
<h2>{{ p.title }} <span class="quiet">{{ p.unit }}</span></h2>
{% if p.kind == "stat" %}<b>{{ p.newest or "no data" }}</b>
{% elif p.kind == "table" %}<table>{% for row in p.rows %}<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% else %}<tr><td>no data</td></tr>{% endfor %}</table>
{% else %}<svg viewBox="0 0 1000 300" preserveAspectRatio="none">{% for s in p.series %}<polyline fill="none"
 stroke="{{ s.colour }}" stroke-width="2" vector-effect="non-scaling-stroke" points="{{ s.points }}"/>{% endfor %}</svg>
<div>{% for s in p.series[:6] %}<i style="background: {{ s.colour }}"></i>{{ s.name }}: {{ s.newest }}{% else %}
<span class="quiet">no data</span>{% endfor %}</div>{% endif %}</section>{% endfor %}</main>"""


@dataclass(frozen=True)
class Drawn:
    """Series of a panel. The points have the coordinates of the SVG."""

    name: str
    newest: str
    points: str
    colour: str


def query(url: str, expression: str, end_s: float, *, is_range: bool) -> list[dict[str, Any]]:
    """Return the series of a query; raise HTTPError if the server refuses it."""
    at = {"start": end_s - RANGE_S, "end": end_s, "step": STEP_S} if is_range else {"time": end_s}
    path = "query_range" if is_range else "query"
    address = f"{url}/api/v1/{path}?{urllib.parse.urlencode({'query': expression, **at})}"
    with urllib.request.urlopen(address, timeout=30) as response:
        found: list[dict[str, Any]] = json.load(response)["data"]["result"]
    return found


def name_of(series: dict[str, Any], legend: str) -> str:
    """Return the legend of a series, as Grafana fills it in; else its labels."""
    labels: dict[str, str] = series["metric"]
    for name, value in labels.items():
        legend = legend.replace(f"{{{{{name}}}}}", value)
    return legend or ", ".join(f"{k}={v}" for k, v in labels.items()) or "value"


def draw(found: list[tuple[str, dict[str, Any]]], end_s: float) -> list[Drawn]:
    """Return curves over the range, from zero to the highest value of all."""
    numbers = [[(float(t), float(v)) for t, v in s["values"] if v not in ("NaN", "+Inf")] for _, s in found]
    top = max((v for points in numbers for _, v in points), default=0.0) or 1.0
    drawn = []
    for n, ((name, _), points) in enumerate(zip(found, numbers, strict=True)):
        if points:
            path = " ".join(f"{1000 * (1 - (end_s - t) / RANGE_S):.1f},{295 - 285 * v / top:.1f}" for t, v in points)
            drawn.append(Drawn(name, f"{points[-1][1]:.4g}", path, COLOURS[n % len(COLOURS)]))
    return drawn


def render(url: str, namespace: str = ".*") -> str:
    """Return the page of the dashboard, with the data of the last minutes."""
    end_s = clock.now().timestamp()
    expressions = iter(dashboard.queries(namespace))
    panels = []
    for panel in dashboard.panels():
        kind, is_range = panel["type"], panel["type"] == "timeseries"
        found = [
            (name_of(s, target.get("legendFormat", "")), s)
            for target in panel["targets"]
            for s in query(url, next(expressions).expression, end_s, is_range=is_range)
        ]
        shown: dict[str, Any] = {"series": draw(found, end_s)} if is_range else {}
        if not is_range:
            shown["newest"] = ", ".join(f"{float(s['value'][1]):.4g}" for _, s in found)
            shown["rows"] = [(name, f"{float(s['value'][1]):.4g}") for name, s in found]
        unit = panel["fieldConfig"]["defaults"].get("unit", "")
        panels.append(panel["gridPos"] | shown | {"kind": kind, "title": panel["title"], "unit": unit})
    return jinja2.Environment(autoescape=True).from_string(PAGE).render(panels=panels)
