"""The memory of each container that played, from Prometheus: as a table, as figures, and as a picture."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from memroll_demo import news

if TYPE_CHECKING:
    from pathlib import Path

    from memroll_demo.site import Site

TIMEOUT_S = 10.0
MIB = 2**20
RSS, WORKING_SET, LIMIT = "#3b6ea5", "#b8c7d9", "#b91c1c"

Samples = list[tuple[float, float]]


@dataclass(frozen=True)
class Life:
    """One container from its first sample to its last."""

    service: str
    pod: str
    rss: Samples
    working_set: Samples
    limit_bytes: float

    @property
    def began_s(self) -> float:
        return self.rss[0][0]

    @property
    def ended_s(self) -> float:
        return self.rss[-1][0]

    @property
    def minutes(self) -> float:
        return (self.ended_s - self.began_s) / 60

    @property
    def highest_bytes(self) -> float:
        return max(value for _, value in self.working_set)

    def growth_bytes_per_minute(self) -> float:
        """Return the growth over the second half: what is loaded at the start is no growth."""
        half = [(t, v) for t, v in self.rss if t >= (self.began_s + self.ended_s) / 2]
        (first_s, first), (last_s, last) = half[0], half[-1]
        return (last - first) / (last_s - first_s) * 60 if last_s > first_s else 0.0

    def figures(self) -> dict[str, Any]:
        return {
            "service": self.service,
            "pod": self.pod,
            "minutes": round(self.minutes, 1),
            "rss_mib_first": round(self.rss[0][1] / MIB),
            "rss_mib_last": round(self.rss[-1][1] / MIB),
            "working_set_mib_highest": round(self.highest_bytes / MIB),
            "limit_mib": round(self.limit_bytes / MIB),
            "growth_mib_per_minute": round(self.growth_bytes_per_minute() / MIB, 1),
        }


def lives(where: Site, watched: str, seconds: float) -> list[Life]:
    """Return all containers of the last so many seconds that had two samples, in the order in which they began."""
    rss, working_set, limits = (
        _samples(where, f'{metric}{{namespace="{watched}",container="app"}}[{round(seconds)}s]')
        for metric in (
            "container_memory_rss", "container_memory_working_set_bytes", "container_spec_memory_limit_bytes",
        )
    )  # fmt: skip
    found = [
        Life(news.service_of(key[0]), key[0], rss[key], working_set[key], limits[key][-1][1] if key in limits else 0)
        for key in rss.keys() & working_set.keys()
        if len(rss[key]) > 1
    ]
    return sorted(found, key=lambda life: (life.service, life.began_s))


def _samples(where: Site, promql: str) -> dict[tuple[str, str], Samples]:
    """Return raw samples by pod and container instance."""
    url = f"{where.prometheus_url}/api/v1/query?{urllib.parse.urlencode({'query': promql})}"
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:  # noqa: S310 - the demo's own Prometheus
        rows = json.load(answer)["data"]["result"]
    return {
        (row["metric"]["pod"], row["metric"].get("name", "")): [(t, float(v)) for t, v in row["values"]] for row in rows
    }


def table(found: list[Life]) -> str:
    """Draw a line for each container."""
    wide = max([len("container of"), *(len(life.pod) for life in found)])
    lines = [f"{'container of':<{wide}}{'minutes':>9}{'RSS, MiB':>16}{'highest':>9}{'limit':>7}{'MiB a minute':>14}"]
    for life in found:
        f = life.figures()
        rss = f"{f['rss_mib_first']} to {f['rss_mib_last']}"
        lines.append(
            f"{life.pod:<{wide}}{f['minutes']:>9}{rss:>16}{f['working_set_mib_highest']:>9}{f['limit_mib']:>7}"
            f"{f['growth_mib_per_minute']:>14}"
        )
    return "\n".join(lines)


def draw(path: Path, found: list[Life]) -> None:
    """Draw the services one above the other. A roll is where one line ends and the next one has begun."""
    import matplotlib as mpl  # noqa: PLC0415 - the other plays draw nothing
    from matplotlib.figure import Figure  # noqa: PLC0415 - the same

    by_service: dict[str, list[Life]] = defaultdict(list)
    for life in found:
        by_service[life.service].append(life)
    if not by_service:
        return
    begin_s = min(life.began_s for life in found)
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": path.name}):
        figure = Figure(figsize=(9.0, 2.6 * len(by_service)), layout="constrained")
        panels = figure.subplots(len(by_service), sharex=True, squeeze=False)[:, 0]
        for axes, (service, own) in zip(panels, by_service.items(), strict=True):
            _panel(axes, service, own, begin_s)
        panels[-1].set_xlabel("minutes")
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def _panel(axes: Any, service: str, own: list[Life], begin_s: float) -> None:  # noqa: ANN401 - matplotlib is imported late
    for number, life in enumerate(own):
        for samples, colour, label in ((life.working_set, WORKING_SET, "working set"), (life.rss, RSS, "RSS")):
            minutes = [(t - begin_s) / 60 for t, _ in samples]
            axes.plot(minutes, [v / MIB for _, v in samples], color=colour, linewidth=1, label="" if number else label)
    for after in own[1:]:
        axes.axvline((after.began_s - begin_s) / 60, color="#8a8a8a", linewidth=0.8, linestyle=":")
    limit_bytes = max(life.limit_bytes for life in own)
    axes.axhline(limit_bytes / MIB, color=LIMIT, linewidth=1, label="limit")
    axes.set_ylim(0, 1.08 * max(limit_bytes, *(life.highest_bytes for life in own)) / MIB)
    axes.set_title(service, fontsize="small", loc="left")
    axes.set_ylabel("MiB")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower right", fontsize="x-small", frameon=False, ncols=3)
