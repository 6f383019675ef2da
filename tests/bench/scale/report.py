"""Figures of one run: from what was observed to numbers, and from these to a table. Pure."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from tests.bench.scale.fleet import MIB

if TYPE_CHECKING:
    from tests.bench.scale.observer import Key, Scrape
    from tests.bench.scale.processes import Usage
    from tests.bench.scale.traffic import Traffic

CONTAINERS_PER_POD = 2


@dataclass(frozen=True)
class Snapshot:
    """Everything that is counted, at one instant."""

    time_s: float
    api: Traffic
    prometheus: Traffic
    usage: dict[str, Usage]
    query_log_bytes: int
    scrape: Scrape


@dataclass(frozen=True)
class Observed:
    """Observations of one run: the snapshots at the start and end of the window, and what was sampled within."""

    before: Snapshot
    after: Snapshot
    policies: list[Key]
    pods: int
    since_s: float
    sweep_s: float | None
    reconciled_in_sweep: int
    lags_s: list[float]
    scrapes: list[Scrape]
    losses: int
    leaderless_s: float
    peak_bytes: int
    edits_s: list[float | None]
    queries_logged: int
    samples_logged: int
    rolls_created: int
    operator_exit: int | None = None


@dataclass(frozen=True)
class Figures:
    """Figures of one run. Rates are averages over the window."""

    options: dict[str, Any]
    figures: dict[str, float | int | None]
    api: dict[str, dict[str, int]] = field(default_factory=dict)
    prometheus: dict[str, dict[str, int]] = field(default_factory=dict)
    pods_by_verdict: dict[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def compute(options: dict[str, Any], observed: Observed) -> Figures:
    before, after = observed.before, observed.after
    api, prometheus = after.api.since(before.api), after.prometheus.since(before.prometheus)
    return Figures(
        options=options,
        figures={
            **_reconciles(observed),
            **_process(observed),
            **_api(api, after.time_s - before.time_s),
            **_prometheus(prometheus, observed),
            **_times(observed),
        },
        api=api.to_dict(),
        prometheus=prometheus.to_dict(),
        pods_by_verdict=after.scrape.pods(),
    )


def _reconciles(observed: Observed) -> dict[str, float | int | None]:
    before, after = observed.before.scrape, observed.after.scrape
    return {
        "window_s": round(observed.after.time_s - observed.before.time_s, 1),
        "policies": len(observed.policies),
        "pods": observed.pods,
        "first_sweep_s": None if observed.sweep_s is None else round(observed.sweep_s, 1),
        "policies_reconciled_in_first_sweep": observed.reconciled_in_sweep,
        "reconciles": int(sum(after.reconciles.values()) - sum(before.reconciles.values())),
        "failed_reconciles": int(after.failed_reconciles - before.failed_reconciles),
        "policies_reconciled": len(after.reconciled),
        "oldest_reconcile_s": round(
            max(scrape.oldest_reconcile_s(observed.policies, observed.since_s) for scrape in observed.scrapes), 1
        ),
        "rolls_created": observed.rolls_created,
    }


def _process(observed: Observed) -> dict[str, float | int | None]:
    before, after = observed.before, observed.after
    seconds, reconciles = (
        after.time_s - before.time_s,
        sum(after.scrape.reconciles.values()) - sum(before.scrape.reconciles.values()),
    )
    cpu_s = {name: after.usage[name].cpu_s - before.usage[name].cpu_s for name in after.usage}
    return {
        "rss_mib": round(after.usage["operator"].rss_bytes / MIB, 1),
        "peak_rss_mib": round(observed.peak_bytes / MIB, 1),
        "operator_cores": round(cpu_s["operator"] / seconds, 3),
        "operator_cpu_s_per_reconcile": round(cpu_s["operator"] / reconciles, 3) if reconciles else None,
        "operator_cpu_s_before_window": round(before.usage["operator"].cpu_s, 1),
        "prometheus_cores": round(cpu_s["prometheus"] / seconds, 3),
        "api_server_cores": round(cpu_s["kube-apiserver"] / seconds, 3),
    }


def _api(traffic: Traffic, seconds: float) -> dict[str, float | int | None]:
    total = traffic.total
    return {
        "api_requests_per_s": round(total.requests / seconds, 2),
        "api_decoded_kb_per_s": round((total.decoded_bytes + total.sent_bytes) / seconds / 1000, 1),
        "api_wire_kb_per_s": round((total.wire_bytes + total.sent_bytes) / seconds / 1000, 1),
        "api_failed": total.failed,
    }


def _prometheus(traffic: Traffic, observed: Observed) -> dict[str, float | int | None]:
    seconds, total = observed.after.time_s - observed.before.time_s, traffic.total
    containers = CONTAINERS_PER_POD * observed.pods
    own = observed.after.scrape.prometheus_samples - observed.before.scrape.prometheus_samples
    return {
        "queries_per_s": round(total.requests / seconds, 2),
        "query_decoded_kb_per_s": round(total.decoded_bytes / seconds / 1000, 1),
        "query_wire_kb_per_s": round(total.wire_bytes / seconds / 1000, 1),
        "queries_failed": total.failed,
        "samples_per_s": round(observed.samples_logged / seconds),
        "samples_per_container_s": round(observed.samples_logged / seconds / containers, 2),
        "samples_by_own_metric_per_s": round(own / seconds),
    }


def _times(observed: Observed) -> dict[str, float | int | None]:
    lags, edits = sorted(observed.lags_s), [s for s in observed.edits_s if s is not None]
    return {
        "loop_lag_p50_s": _round(quantile(lags, 0.5)),
        "loop_lag_p95_s": _round(quantile(lags, 0.95)),
        "loop_lag_max_s": _round(lags[-1] if lags else None),
        "lease_losses": observed.losses,
        "leaderless_s": observed.leaderless_s,
        "edits": len(observed.edits_s),
        "edits_without_reconcile": len(observed.edits_s) - len(edits),
        "change_to_reconcile_median_s": _round(statistics.median(edits) if edits else None),
        "change_to_reconcile_max_s": _round(max(edits, default=None)),
    }


def quantile(ordered: list[float], ratio: float) -> float | None:
    return ordered[min(len(ordered) - 1, int(len(ordered) * ratio))] if ordered else None


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def table(figures: Figures) -> str:
    """Return the figures as two aligned columns, and the requests by kind."""
    width = max(map(len, figures.figures))
    lines = [f"{name:<{width}}  {'-' if value is None else value}" for name, value in figures.figures.items()]
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in figures.pods_by_verdict.items())
    lines += ["", f"pods: {verdicts}", ""] if verdicts else [""]
    for title, kinds in (("API server", figures.api), ("Prometheus", figures.prometheus)):
        if not kinds:
            continue
        lines.append(f"{title:<40} {'requests':>9} {'failed':>7} {'sent kB':>9} {'wire kB':>10} {'decoded kB':>11}")
        lines += [_row(kind, count) for kind, count in kinds.items()]
    return "\n".join(lines)


def _row(kind: str, count: dict[str, int]) -> str:
    sizes = [count[name] // 1000 for name in ("sent_bytes", "wire_bytes", "decoded_bytes")]
    return f"{kind:<40} {count['requests']:>9} {count['failed']:>7} {sizes[0]:>9} {sizes[1]:>10} {sizes[2]:>11}"
