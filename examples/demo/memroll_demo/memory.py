"""Memory of each container of a demo, from Prometheus: as a table, as figures, and as a plot."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from memroll_demo import event_lines

if TYPE_CHECKING:
    from pathlib import Path

    from memroll_demo.cluster import DemoCluster

TIMEOUT_S = 10.0
MIB = 2**20
RSS, WORKING_SET, LIMIT = "#3b6ea5", "#b8c7d9", "#b91c1c"

Samples = list[tuple[float, float]]


@dataclass(frozen=True)
class ContainerLifetime:
    """Samples of one container instance, from first to last."""

    service: str
    pod: str
    rss: Samples
    working_set: Samples
    limit_bytes: float

    @property
    def start_s(self) -> float:
        return self.rss[0][0]

    @property
    def end_s(self) -> float:
        return self.rss[-1][0]

    @property
    def minutes(self) -> float:
        return (self.end_s - self.start_s) / 60

    @property
    def max_bytes(self) -> float:
        return max(value for _, value in self.working_set)

    def growth_bytes_per_minute(self) -> float:
        """Return the growth over the second half of the lifetime, because the first half includes the start."""
        half = [(t, v) for t, v in self.rss if t >= (self.start_s + self.end_s) / 2]
        (first_s, first), (last_s, last) = half[0], half[-1]
        return (last - first) / (last_s - first_s) * 60 if last_s > first_s else 0.0

    def to_dict(self) -> dict[str, Any]:
        return {
            "service": self.service,
            "pod": self.pod,
            "minutes": round(self.minutes, 1),
            "rss_mib_first": round(self.rss[0][1] / MIB),
            "rss_mib_last": round(self.rss[-1][1] / MIB),
            "working_set_mib_highest": round(self.max_bytes / MIB),
            "limit_mib": round(self.limit_bytes / MIB),
            "growth_mib_per_minute": round(self.growth_bytes_per_minute() / MIB, 1),
        }


def read_lifetimes(cluster: DemoCluster, namespace: str, seconds: float) -> list[ContainerLifetime]:
    """Return the containers with two samples or more in the last `seconds`, sorted by service and start."""
    rss, working_set, limits = (
        _read_samples(cluster, f'{metric}{{namespace="{namespace}",container="app"}}[{round(seconds)}s]')
        for metric in (
            "container_memory_rss", "container_memory_working_set_bytes", "container_spec_memory_limit_bytes",
        )
    )  # fmt: skip
    lifetimes = [
        ContainerLifetime(
            service=event_lines.service_of(key[0]),
            pod=key[0],
            rss=rss[key],
            working_set=working_set[key],
            limit_bytes=limits[key][-1][1] if key in limits else 0,
        )
        for key in rss.keys() & working_set.keys()
        if len(rss[key]) > 1
    ]
    return sorted(lifetimes, key=lambda lifetime: (lifetime.service, lifetime.start_s))


def _read_samples(cluster: DemoCluster, promql: str) -> dict[tuple[str, str], Samples]:
    """Return raw samples by pod and container ID."""
    url = f"{cluster.prometheus_url}/api/v1/query?{urllib.parse.urlencode({'query': promql})}"
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response:  # noqa: S310 - the demo's own Prometheus
        rows = json.load(response)["data"]["result"]
    return {
        (row["metric"]["pod"], row["metric"].get("name", "")): [(t, float(v)) for t, v in row["values"]] for row in rows
    }


def format_table(lifetimes: list[ContainerLifetime]) -> str:
    """Format one line per container."""
    width = max([len("container of"), *(len(lifetime.pod) for lifetime in lifetimes)])
    lines = [f"{'container of':<{width}}{'minutes':>9}{'RSS, MiB':>16}{'highest':>9}{'limit':>7}{'MiB a minute':>14}"]
    for lifetime in lifetimes:
        f = lifetime.to_dict()
        rss = f"{f['rss_mib_first']} to {f['rss_mib_last']}"
        lines.append(
            f"{lifetime.pod:<{width}}{f['minutes']:>9}{rss:>16}{f['working_set_mib_highest']:>9}{f['limit_mib']:>7}"
            f"{f['growth_mib_per_minute']:>14}"
        )
    return "\n".join(lines)


def draw(path: Path, lifetimes: list[ContainerLifetime]) -> None:
    """Write a plot with one panel per service. A dotted line marks the start of a replacement."""
    import matplotlib as mpl  # noqa: PLC0415 - the other demos draw no plot
    from matplotlib.figure import Figure  # noqa: PLC0415 - the same

    by_service: dict[str, list[ContainerLifetime]] = defaultdict(list)
    for lifetime in lifetimes:
        by_service[lifetime.service].append(lifetime)
    if not by_service:
        return
    begin_s = min(lifetime.start_s for lifetime in lifetimes)
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": path.name}):
        figure = Figure(figsize=(9.0, 2.6 * len(by_service)), layout="constrained")
        panels = figure.subplots(len(by_service), sharex=True, squeeze=False)[:, 0]
        for axes, (service, own) in zip(panels, by_service.items(), strict=True):
            _panel(axes, service, own, begin_s)
        panels[-1].set_xlabel("minutes")
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def _panel(axes: Any, service: str, own: list[ContainerLifetime], begin_s: float) -> None:  # noqa: ANN401 - imported late
    for number, lifetime in enumerate(own):
        for samples, colour, label in ((lifetime.working_set, WORKING_SET, "working set"), (lifetime.rss, RSS, "RSS")):
            minutes = [(t - begin_s) / 60 for t, _ in samples]
            axes.plot(minutes, [v / MIB for _, v in samples], color=colour, linewidth=1, label="" if number else label)
    for after in own[1:]:
        axes.axvline((after.start_s - begin_s) / 60, color="#8a8a8a", linewidth=0.8, linestyle=":")
    limit_bytes = max(lifetime.limit_bytes for lifetime in own)
    axes.axhline(limit_bytes / MIB, color=LIMIT, linewidth=1, label="limit")
    axes.set_ylim(0, 1.08 * max(limit_bytes, *(lifetime.max_bytes for lifetime in own)) / MIB)
    axes.set_title(service, fontsize="small", loc="left")
    axes.set_ylabel("MiB")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower right", fontsize="x-small", frameon=False, ncols=3)
