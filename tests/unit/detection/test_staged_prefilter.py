"""Statistics that count near the limit only are queried of the pods near theirs, and of no other."""

from __future__ import annotations

from dataclasses import replace

import pytest

from memroll.detection.parameters import DetectionParameters
from memroll.detection.prefilter import is_candidate, prefilter_windows_s
from memroll.detection.samples import PrefilterResult, PrefilterRow, SlowBins
from memroll.detection.slow_slopes import slow_bins
from memroll.detection.staged_prefilter import run_prefilter
from tests.builders import MIB, NOW, at, container, pod

LIMIT = 100 * MIB
LONG = DetectionParameters(MIB / 3600, 6 * 3600.0, 1800.0, 1800.0)
SHORT = replace(LONG, window_s=1800.0)
USAGE = {"far": 59 * MIB, "near": 60 * MIB, "none": None}


def one(name: str, **parts):
    return pod(name, containers=(container(id=f"id-{name}", limit_bytes=LIMIT, started_at=at(-1e5)),), **parts)


class Statistics:
    """Prometheus with these slopes of each container, of whichever windows are requested."""

    def __init__(self):
        self.asked = []

    async def __call__(self, pods, windows_s, slow):
        self.asked.append((tuple(pods), tuple(windows_s), slow))
        slopes = tuple(1.0 / w for w in windows_s)
        row = PrefilterRow("", "app", "", slopes, 99, 1.0, None, NOW.timestamp(), tuple(1.0 for _ in slow.offsets_s))
        rows = [
            replace(row, pod=name, container_id=f"id-{name}", working_set_bytes=USAGE[name], is_rss_known=True)
            for name in pods
        ]
        return PrefilterResult(tuple(rows), tuple(windows_s), NOW.timestamp(), slow)


async def test_short_windows_and_slow_slopes_are_queried_near_the_limit():
    statistics, windows_s, slow = Statistics(), prefilter_windows_s(LONG), slow_bins(LONG)
    found = await run_prefilter(statistics, [one(n) for n in USAGE], LONG)
    assert statistics.asked == [
        (tuple(USAGE), windows_s[:2], SlowBins(slow.bin_s, (), (), 600.0)),
        (("near",), windows_s, slow),
    ]
    rows = {r.pod: r for r in found.rows}
    assert list(rows) == ["far", "none", "near"]
    assert rows["far"].slopes_bytes_per_s == (1 / windows_s[0], 1 / windows_s[1], None, None)
    assert rows["near"].slopes_bytes_per_s == tuple(1 / w for w in windows_s)
    assert (found.windows_s, found.slow) == (windows_s, slow)


async def test_short_windows_are_queried_at_once():
    statistics = Statistics()
    await run_prefilter(statistics, [one(n) for n in USAGE], SHORT)
    assert statistics.asked == [(tuple(USAGE), prefilter_windows_s(SHORT), slow_bins(SHORT))]
    assert slow_bins(SHORT).block_s == 0


async def test_pods_whose_containers_may_share_a_limit_are_queried_whole():
    statistics = Statistics()
    two = (*one("far").containers, container(name="proxy", id=""))
    await run_prefilter(statistics, [one("far"), replace(one("none", limit_bytes=LIMIT), containers=two)], LONG)
    assert statistics.asked[1][0] == ("none",)


@pytest.mark.parametrize("steep", [1.0, 1e9])
def test_what_is_not_queried_does_not_count_far_from_the_limit(steep):
    """The first two windows decide about a container below 60 % of its limit, whatever the others are."""
    usage = 0.6 * LIMIT - 1
    assert not is_candidate(LONG, LIMIT, usage, (0.0, 0.0, steep, steep), (steep, steep), (steep, steep))
    assert not is_candidate(LONG, LIMIT, usage, (0.0, 0.0, None, None))
    assert is_candidate(LONG, LIMIT, usage + 1, (0.0, 0.0, 1e9, 1e9))
