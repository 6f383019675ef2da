"""Fleet of the scale benchmark: sizes, leaking pods, series and objects."""

from __future__ import annotations

import json
import struct
from collections import Counter
from datetime import UTC, datetime

import numpy as np
import pytest

from memroll.api.pod_roll import PodRoll
from memroll.api.policy import MemoryPolicy
from memroll.clients.kube.pods import decode_pod
from tests.bench.scale import backfill, fleet, manifests, options, shapes
from tests.bench.scale.fleet import APP, LIMITS_MIB, MIB, SIDECAR, Shape
from tests.bench.scale.population import MAX_ROLLS_PER_NAMESPACE, roll_places

NOW = datetime(2026, 1, 1, tzinfo=UTC)
THRESHOLD_PER_HOUR = 0.005


def build(*arguments):
    return fleet.build(options.parse(arguments))


@pytest.mark.parametrize(("size", "policies", "namespaces"), [("5000", 125, 25), ("20000", 500, 100)])
def test_a_size_has_its_policies_and_namespaces(size, policies, namespaces):
    found = build("--size", size)
    assert len(found.pods) == len({pod.name for pod in found.pods}) == int(size)
    assert len(found.policies) == policies
    assert len(found.namespaces) == namespaces
    assert {len(pods) for pods in found.deployments.values()} == {10}


def test_one_policy_selects_all_pods_of_one_namespace():
    found = build("--size", "5000", "--one-policy")
    assert len(found.policies) == len(found.namespaces) == 1


@pytest.mark.parametrize("percent", [0, 2, 10, 50, 100])
def test_the_share_of_leaking_pods_is_as_given(percent):
    found = build("--size", "5000", "--suspects", str(percent))
    assert found.count(Shape.CLIMBING) == pytest.approx(50 * percent, abs=15)


def test_all_pods_leak_on_a_monday():
    assert build("--size", "200", "--monday").count(Shape.CLIMBING) == 200


def test_half_of_the_leaking_pods_are_whole_deployments():
    leaks = Counter(
        sum(pod.shape is Shape.CLIMBING for pod in pods) for pods in build("--size", "5000").deployments.values()
    )
    assert leaks[10] * 10 == pytest.approx(250, abs=10)
    assert sum(count for leaking, count in leaks.items() if 0 < leaking < 10) > 150


def slope_per_hour(pod, container):
    times_s = np.arange(0, 6 * 3600, 30.0)
    rss = shapes.rss_bytes(pod, container, times_s, -24 * 3600.0)
    return np.polyfit(times_s / 3600, rss, 1)[0] / (LIMITS_MIB[container] * MIB)


def test_only_a_leaking_container_grows_like_a_leak_and_stays_far_from_the_limit():
    for pod in build("--size", "400", "--suspects", "50").pods:
        assert abs(slope_per_hour(pod, SIDECAR)) < THRESHOLD_PER_HOUR
        if pod.shape is Shape.CLIMBING:
            assert slope_per_hour(pod, APP) > THRESHOLD_PER_HOUR
            usage = shapes.series(pod, APP, np.array([49 * 3600.0]), 0.0)["container_memory_working_set_bytes"]
            assert usage[0] < 0.8 * LIMITS_MIB[APP] * MIB
        elif pod.shape in (Shape.FLAT, Shape.SAWTOOTH):
            assert abs(slope_per_hour(pod, APP)) < THRESHOLD_PER_HOUR


def test_counters_never_fall_over_all_blocks():
    pod, now_s = build("--size", "40").pods[0], 2_000_000
    parts = [backfill.sample_times_s(pod, block, now_s, 30) for block in backfill.block_ranges(now_s, 3600)]
    times_s = np.concatenate(parts)
    assert set(np.diff(times_s)) == {30.0}
    assert times_s[-1] > now_s + 3500
    cpu_s = np.concatenate([shapes.cpu_seconds(pod, APP, part, 0.0) for part in parts if len(part)])
    assert np.all(np.diff(cpu_s) > 0)


def test_a_container_has_no_samples_before_its_start():
    now_s = 2_000_000
    for pod in build("--size", "200").pods:
        parts = [backfill.sample_times_s(pod, block, now_s, 30) for block in backfill.block_ranges(now_s, 0)]
        assert np.concatenate(parts)[0] >= now_s - min(pod.age_s, backfill.HISTORY_S)


def test_an_encoded_series_has_its_header_and_all_values():
    raw = backfill.encode({"__name__": "m"}, np.array([10.0, 40.0]), np.array([1.0, 2.0]))
    (length,) = struct.unpack("<I", raw[:4])
    assert json.loads(raw[4 : 4 + length]) == {
        "labels": {"__name__": "m"},
        "firstMs": 10_000,
        "stepMs": 30_000,
        "count": 2,
    }
    assert np.frombuffer(raw[4 + length :]).tolist() == [1.0, 2.0]


def test_a_pod_is_decoded_with_the_container_ids_of_its_series():
    one = build("--size", "40").pods[0]
    raw = manifests.fleet_pod(one, "owner") | manifests.pod_status(one, NOW)
    raw["metadata"] |= {"uid": "u", "creationTimestamp": manifests.stamp(NOW)}
    pod = decode_pod(raw)
    assert pod is not None
    assert pod.ready
    assert [c.limit_bytes for c in pod.containers] == [LIMITS_MIB[name] * MIB for name in (APP, SIDECAR)]
    series = [backfill.labels(one, c.name, "container_memory_rss")["name"] for c in pod.containers]
    assert [c.id for c in pod.containers] == series
    assert 5_000 < len(json.dumps(raw)) < 11_000  # the API server adds the managed fields


def test_policies_and_finished_rolls_are_valid():
    server = {"uid": "u", "creationTimestamp": manifests.stamp(NOW), "generation": 1, "resourceVersion": "1"}
    raw = manifests.policy("scale-000", "policy-000", 300)
    assert MemoryPolicy.read({**raw, "metadata": raw["metadata"] | server}).spec.interval.total_seconds() == 300
    record, status = manifests.pod_roll("scale-000", 7, "policy-000", NOW)
    roll = PodRoll.read({**record, **status, "metadata": record["metadata"] | server})
    assert not roll.active
    assert roll.status.effect is not None
    assert roll.status.effect.compared_at is not None
    assert 3_000 < len(json.dumps({**record, **status})) < 6_000


def test_no_namespace_has_more_rolls_than_memroll_keeps():
    places = roll_places(build("--size", "400"), 1000)
    counts = Counter(space for space, _ in places)
    assert sum(counts.values()) == 1000
    assert max(counts.values()) == MAX_ROLLS_PER_NAMESPACE
    assert ("scale-000", "policy-004") in places or ("scale-000", "policy-000") in places
