"""Figures of the scale benchmark: requests by kind, rates over the window, memory of processes."""

from __future__ import annotations

import pytest

from tests.bench.scale import operator_process, options, query_log
from tests.bench.scale.observer import Scrape, parse_metrics
from tests.bench.scale.processes import TICKS_PER_S, Usage, parse_usage
from tests.bench.scale.report import Observed, Snapshot, compute, quantile, table
from tests.bench.scale.traffic import Count, Traffic, api_kind

KEYS = [("scale-000", "policy-000"), ("scale-000", "policy-001")]


@pytest.mark.parametrize(
    ("method", "url", "kind"),
    [
        ("GET", "/api/v1/namespaces/a/pods?limit=200&continue=x", "list pods"),
        ("GET", "/api/v1/pods?labelSelector=a", "list pods"),
        ("GET", "/api/v1/namespaces/a/pods/web-1", "get pods"),
        ("GET", "/api/v1/namespaces/a", "get namespaces"),
        ("GET", "/apis/memroll.dev/v1alpha1/podrolls?watch=true&resourceVersion=7", "watch podrolls"),
        ("GET", "/apis/memroll.dev/v1alpha1/podrolls?watch=false", "list podrolls"),
        ("PUT", "/apis/memroll.dev/v1alpha1/namespaces/a/memorypolicies/p/status", "update memorypolicies/status"),
        ("POST", "/api/v1/namespaces/a/pods/web-1/eviction", "create pods/eviction"),
        ("PATCH", "/apis/events.k8s.io/v1/namespaces/a/events/e", "patch events"),
        ("GET", "/apis/memroll.dev/v1alpha1", "get other"),
        ("GET", "/version", "get other"),
    ],
)
def test_a_request_has_its_verb_and_resource(method, url, kind):
    assert api_kind(method, url) == kind


def test_traffic_since_an_instant_leaves_out_what_came_before():
    before = Traffic({"list pods": Count(2, 0, 0, 10, 100), "get pods": Count(1)})
    after = Traffic({"list pods": Count(5, 1, 0, 30, 300), "get pods": Count(1), "watch pods": Count(1)})
    since = Traffic.from_dict(after.to_dict()).since(before)
    assert since.counts == {"list pods": Count(3, 1, 0, 20, 200), "watch pods": Count(1)}
    assert since.total == Count(4, 1, 0, 20, 200)


def metrics(reconciles, last_s, samples):
    lines = [
        line
        for (space, policy), count in reconciles.items()
        for line in (
            f'memroll_reconcile_total{{namespace="{space}",policy="{policy}",result="Succeeded"}} {count}',
            f'memroll_last_reconcile_timestamp_seconds{{namespace="{space}",policy="{policy}"}} {last_s}',
        )
    ]
    lines += [
        f'memroll_prometheus_samples_total{{connection="default"}} {samples}',
        'memroll_pods{namespace="scale-000",policy="policy-000",verdict="healthy"} 40.0',
    ]
    return parse_metrics("# HELP memroll_pods text\n" + "\n".join(lines))


def snapshot(time_s, requests, cpu_s, reconciles, samples):
    usage = {name: Usage(cpu_s, 100 * 2**20, 110 * 2**20) for name in ("operator", "prometheus", "kube-apiserver")}
    return Snapshot(
        time_s=time_s,
        api=Traffic({"list pods": Count(requests, 0, 0, 1000 * requests, 10_000 * requests)}),
        prometheus=Traffic({"query": Count(2 * requests, 0, 10, 50, 500)}),
        usage=usage,
        query_log_bytes=0,
        scrape=Scrape(time_s, metrics(reconciles, time_s - 20, samples)),
    )


def observed(reconciles=None):
    before = snapshot(1000.0, 10, 5.0, {KEYS[0]: 1, KEYS[1]: 1}, 0)
    after = snapshot(1100.0, 210, 15.0, reconciles or {KEYS[0]: 3, KEYS[1]: 3}, 64_000)
    return Observed(
        before=before,
        after=after,
        policies=KEYS,
        pods=80,
        since_s=900.0,
        sweep_s=60.0,
        reconciled_in_sweep=2,
        lags_s=[0.01] * 98 + [0.5, 2.0],
        scrapes=[before.scrape, after.scrape],
        losses=0,
        leaderless_s=0.0,
        peak_bytes=120 * 2**20,
        edits_s=[1.0, 3.0, None],
        queries_logged=400,
        samples_logged=64_000,
        rolls_created=0,
    )


def test_rates_are_those_of_the_window():
    found = compute({}, observed()).figures
    assert found["api_requests_per_s"] == 2.0
    assert found["api_decoded_kb_per_s"] == 20.0
    assert found["api_wire_kb_per_s"] == 2.0
    assert found["reconciles"] == 4
    assert found["operator_cores"] == 0.1
    assert found["operator_cpu_s_per_reconcile"] == 2.5
    assert found["samples_per_container_s"] == 4.0
    assert found["samples_by_own_metric_per_s"] == 640
    assert found["peak_rss_mib"] == 120


def test_times_name_what_never_happened():
    found = compute({}, observed()).figures
    assert (found["loop_lag_p95_s"], found["loop_lag_max_s"]) == (0.01, 2.0)
    assert (found["change_to_reconcile_median_s"], found["edits_without_reconcile"]) == (2.0, 1)


def test_a_policy_without_a_reconcile_is_as_late_as_it_is_old():
    found = compute({}, observed({KEYS[0]: 3, KEYS[1]: 0})).figures
    assert found["oldest_reconcile_s"] == 200.0
    assert found["policies_reconciled"] == 1


def test_the_table_has_each_figure_and_each_kind():
    found = compute({}, observed())
    text = table(found)
    assert all(name in text for name in found.figures)
    assert "list pods" in text
    assert "40 healthy" in text


def test_a_quantile_of_nothing_is_unknown():
    assert quantile([], 0.95) is None
    assert quantile([1.0], 0.95) == 1.0


def test_samples_are_summed_over_the_complete_lines_of_the_query_log(tmp_path):
    line = '{"params":{"query":"up"},"stats":{"samples":{"totalQueryableSamples":7,"peakSamples":1}}}\n'
    log = tmp_path / "queries.log"
    log.write_text(3 * line + '{"params":{"qu')
    assert query_log.count_between(log, len(line), log.stat().st_size) == (2, 14)


def test_cpu_and_memory_are_read_from_proc():
    stat = "7 (a (b) c) S 1 " + " ".join(["0"] * 9) + f" {TICKS_PER_S} {2 * TICKS_PER_S} 0 {TICKS_PER_S} 20"
    assert parse_usage(stat, "VmHWM:\t2048 kB\nVmRSS:\t1024 kB\n") == Usage(4.0, 1024**2, 2 * 1024**2)


def test_the_memory_limit_is_that_of_the_chart():
    assert operator_process.limit_bytes("none") is None
    assert operator_process.limit_bytes("100") == 100 * 2**20
    values = "resources:\n  limits: {memory: 384Mi}\n"
    assert operator_process.chart_limit_bytes(values) == 384 * 2**20
    assert operator_process.limit_bytes("chart")


def test_monday_overrides_the_share_of_leaking_pods():
    assert options.parse(["--monday", "--suspects", "2"]).suspects_ratio == 1.0
    with pytest.raises(SystemExit):
        options.parse(["--suspects", "101"])


def test_the_operator_has_the_allocator_settings_of_the_image():
    settings = operator_process.allocator_settings(operator_process.IMAGE.read_text())
    assert settings.keys() == {"MALLOC_ARENA_MAX", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"}
    assert all(value.isdigit() for value in settings.values())
