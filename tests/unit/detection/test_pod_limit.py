"""Memory of containers that share the limit of their pod."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from memroll.detection.assess import Assessor
from memroll.detection.extremes import Extremes, ExtremesRow
from memroll.detection.pod_limit import MAX_HOLD_S, SharedLimits, add_other_containers, shares_limit
from memroll.detection.reasons import VerdictReason
from memroll.detection.samples import PrefilterResult, PrefilterRow, QueryResult, SeriesRow
from memroll.detection.series import EMPTY, Series
from memroll.model.roll_duration import RollDurations
from tests.builders import MIB, NOW, at, container, line, pod, policy
from tests.fakes import FakePrometheus

NOW_S = NOW.timestamp()
LIMIT = 512 * MIB


def statistic(name: str, used_mib: float | None, slope: float = 0.0, of: str = "leaky-abc") -> PrefilterRow:
    used = None if used_mib is None else used_mib * MIB
    return PrefilterRow(of, name, f"id-{name}", (slope, None), 9, used, used, NOW_S)


def result(*rows: PrefilterRow) -> PrefilterResult:
    return PrefilterResult(rows, (60.0, 30.0), NOW_S)


def sharing(*names: str, own: dict[str, int] | None = None, **changes: Any) -> Any:
    limits = own or {}
    containers = tuple(container(name=n, id=f"id-{n}", limit_bytes=limits.get(n, LIMIT)) for n in names)
    return pod(containers=containers, **{"limit_bytes": LIMIT} | changes)


def used_mib(shared: SharedLimits, *rows: PrefilterRow) -> dict[str, float]:
    found = shared.in_statistics(result(*rows)).rows
    return {r.container: (r.working_set_bytes or 0) / MIB for r in found}


def test_each_container_that_shares_the_limit_has_the_usage_of_the_pod():
    rows = (statistic("app", 300), statistic("proxy", 60), statistic("other", 9, of="other-pod"))
    shared = SharedLimits.find([sharing("app", "proxy")], result(*rows), NOW_S)
    assert used_mib(shared, *rows) == {"app": 360, "proxy": 360, "other": 9}


def test_a_container_with_a_lower_limit_of_its_own_has_its_own_usage():
    rows = (statistic("app", 300), statistic("proxy", 60))
    shared = SharedLimits.find([sharing("app", "proxy", own={"proxy": 64 * MIB})], result(*rows), NOW_S)
    assert used_mib(shared, *rows) == {"app": 360, "proxy": 60}


@pytest.mark.parametrize(
    "made", [sharing("app", "proxy", limit_bytes=None), sharing("app")], ids=["no limit of the pod", "one container"]
)
def test_nothing_changes_where_nothing_is_shared(made):
    rows = (statistic("app", 300), statistic("proxy", 60))
    assert used_mib(SharedLimits.find([made], result(*rows), NOW_S), *rows) == {"app": 300, "proxy": 60}


def test_the_growth_of_the_pod_is_that_of_the_container_that_grows_fastest():
    """Otherwise a leak in each of N containers would be N times as fast as it seems."""
    rows = (statistic("app", 300, 2.0), statistic("proxy", 60, 3.0))
    shared = SharedLimits.find([sharing("app", "proxy")], result(*rows), NOW_S)
    found = shared.in_statistics(result(*rows)).rows
    assert {r.container: r.slopes_bytes_per_s for r in found} == {"app": (2.0, None), "proxy": (5.0, None)}


def test_of_another_container_that_restarted_only_the_newest_instance_counts():
    old, app = statistic("proxy", 90), statistic("app", 300)
    new = PrefilterRow("leaky-abc", "proxy", "id-new", (None,), 1, 9.0 * MIB, 9.0 * MIB, NOW_S + 1)
    shared = SharedLimits.find([sharing("app", "proxy")], result(app, old, new), NOW_S)
    assert shared.in_statistics(result(app, old, new)).rows[0].working_set_bytes == 309 * MIB


def series(values: dict[float, float]) -> Series:
    return Series.of((NOW_S + t, v) for t, v in values.items())


def row(name: str, values: dict[float, float], id_: str = "") -> SeriesRow:
    return SeriesRow("leaky-abc", name, id_ or f"id-{name}", series(values), series(values))


def test_the_usage_at_each_instant_is_that_of_all_containers_then():
    """A moment's usage of a sidecar must not count for the past of another container."""
    app, proxy = row("app", {0: 5, 60: 5, 120: 5}), row("proxy", {50: 1, 110: 9})
    found = add_other_containers(app, [app, proxy, SeriesRow("other", "x", "", app.rss, app.rss)])
    assert found.working_set.values.tolist() == found.rss.values.tolist() == [5, 6, 14]
    assert add_other_containers(app, [app, proxy], with_growth=False).rss.values.tolist() == [5, 5, 5]


@pytest.mark.parametrize("with_growth", [True, False])
def test_page_cache_and_swap_are_those_of_the_whole_pod_as_the_working_set_is(with_growth):
    app, proxy = row("app", {0: 50, 60: 50}), row("proxy", {0: 9, 50: 9})
    app = replace(app, active_file=series({0: 20, 60: 30}), swap=series({0: 1, 60: 2}))
    proxy = replace(proxy, active_file=series({0: 3, 50: 4}), swap=series({0: 5, 50: 6}))
    found = add_other_containers(app, [app, proxy], with_growth=with_growth)
    assert found.active_file.values.tolist() == [23, 34]
    assert found.swap.values.tolist() == [6, 8]
    unknown = add_other_containers(replace(app, active_file=EMPTY), [proxy])
    assert len(unknown.active_file) == 0, "that of one container is not that of the pod"


def extremes(name: str, id_: str, minima: dict[float, float], maxima: dict[float, float]) -> ExtremesRow:
    return ExtremesRow("leaky-abc", name, id_, series(minima), series(maxima))


def test_the_long_history_of_the_pod_is_that_of_the_container_with_its_growth():
    shared = SharedLimits.find(
        [sharing("app", "proxy")], result(statistic("app", 300, 2.0), statistic("proxy", 60)), NOW_S
    )
    rows = (
        extremes("app", "id-app", {0: 5, 3600: 6}, {0: 7, 3600: 8}),
        extremes("proxy", "id-proxy", {3600: 1}, {3600: 2}),
    )
    app, proxy = shared.in_extremes(Extremes(rows, 3600.0)).rows
    assert (app.minima.values.tolist(), app.maxima.values.tolist()) == ([5, 7], [7, 10])
    assert proxy.minima.values.tolist() == [1]
    assert SharedLimits().in_extremes(Extremes(rows, 3600.0)).rows == rows


def test_slow_slopes_of_a_pod_are_added_up_as_the_slopes_are():
    app, proxy = statistic("app", 300, 2.0), statistic("proxy", 60, 1.0)
    app = replace(app, slow_slopes_bytes_per_s=(4.0, None))
    proxy = replace(proxy, slow_slopes_bytes_per_s=(0.5, 7.0))
    shared = SharedLimits.find([sharing("app", "proxy")], result(app, proxy), NOW_S)
    found = {r.container: r.slow_slopes_bytes_per_s for r in shared.in_statistics(result(app, proxy)).rows}
    assert found == {"app": (4.5, None), "proxy": (0.5, 7.0)}


def test_a_container_that_ended_counts_until_its_last_sample_is_old():
    last = 10.0
    app = row("app", {0: 5, last + MAX_HOLD_S: 5, last + MAX_HOLD_S + 1: 5})
    found = add_other_containers(
        app, [row("proxy", {-5: 1, last: 2}), SeriesRow("leaky-abc", "empty", "", EMPTY, EMPTY)]
    )
    assert found.working_set.values.tolist() == [6, 7, 5]


def test_two_instances_of_another_container_are_never_added_up():
    app = row("app", {0: 5, 60: 5})
    found = add_other_containers(app, [row("proxy", {-10: 7}, "first"), row("proxy", {30: 1}, "second")])
    assert found.working_set.values.tolist() == [12, 6]


def test_series_of_earlier_pods_of_the_workload_are_treated_alike():
    made = sharing("app", "proxy")
    rows = (statistic("app", 300, 2.0), statistic("proxy", 60))
    shared = SharedLimits.find([made], result(*rows), NOW_S)
    earlier = [SeriesRow("leaky-5d-bcd45", n, "", series({0: 1}), series({0: 1})) for n in ("app", "proxy")]
    other = SeriesRow("web-5d-bcd45", "app", "", series({0: 1}), series({0: 1}))
    found = shared.in_series(QueryResult((*earlier, other), NOW_S)).rows
    assert [r.working_set.values.tolist() for r in found] == [[2], [2], [1]]
    assert [r.rss.values.tolist() for r in found] == [[2], [1], [1]], "the growth is that of app"


@pytest.mark.parametrize(
    ("age_s", "is_missing"),
    [pytest.param(600, True, id="running for a while"), pytest.param(60, False, id="just started")],
)
def test_without_samples_of_another_container_the_usage_of_the_pod_is_not_known(age_s, is_missing):
    proxy = container(name="proxy", id="id-proxy", limit_bytes=64 * MIB, started_at=at(-age_s))
    made = sharing("app")
    made = pod(containers=(*made.containers, proxy), limit_bytes=LIMIT)
    shared = SharedLimits.find([made], result(statistic("app", 300)), NOW_S)
    assert shared.missing_for(made, made.containers[0]) == ("proxy" if is_missing else "")
    assert shared.missing_for(made, proxy) == "", "it has a limit of its own"


async def test_a_container_without_samples_of_another_one_is_inconclusive_and_names_it():
    app, proxy = container(id="id-leaky-abc", limit_bytes=LIMIT), container(name="proxy", id="p", limit_bytes=LIMIT)
    watched = policy(containers=["app"])
    durations = RollDurations({}, None, watched.spec.roll.drain)
    pods = (pod(containers=(app, proxy), limit_bytes=LIMIT),)
    (found,) = await Assessor(watched, pods, durations, NOW).assess(FakePrometheus({"id-leaky-abc": line(0.1)}))
    assert found.verdict.reason is VerdictReason.NO_DATA
    assert "no samples of container proxy, which shares the pod's limit" in found.verdict.message


def test_only_a_container_without_a_lower_limit_shares_that_of_the_pod():
    made = sharing("app", "proxy", own={"proxy": 64 * MIB})
    assert [shares_limit(made, c) for c in made.containers] == [True, False]
    assert not shares_limit(sharing("app"), sharing("app").containers[0])
