"""Manifests and names of PodRolls for planned rolls."""

from __future__ import annotations

import re
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memroll.api.pod_roll import PodRoll
from memroll.planning.pod_roll_manifest import MAX_POD_NAME_CHARS, pod_roll_manifest, roll_names
from tests.builders import above_threshold_verdict, at, candidate, container, pod, policy, roll_json

VALID_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
"""Name of an object, as the API server requires it."""


def recorded(made, **spec):
    raw = pod_roll_manifest(policy(**spec), "leaky-abc-1", made)
    raw["metadata"] |= {"uid": "roll-1", "creationTimestamp": "2026-03-01T12:00:00Z"}
    return PodRoll.read(raw).spec


def test_a_roll_contains_the_container_that_triggered_it():
    target = pod(containers=(container(image="registry/chat:2", started_at=at(-90)),))
    trigger = recorded(candidate(pod=target)).trigger
    assert (trigger.container, trigger.image, trigger.container_started) == ("app", "registry/chat:2", at(-90))
    assert trigger.time_to_limit_seconds == 20


def test_a_pod_above_the_usage_threshold_that_does_not_grow_has_no_time_to_limit():
    """With a time to limit, the pod could be evicted before its replacement is ready."""
    above = above_threshold_verdict(90.0, message="above 50% of the limit for 10 s")
    assert recorded(candidate(verdict=above)).trigger.time_to_limit_seconds is None


@pytest.mark.parametrize("image", ["", "x" * 600])
def test_an_unusual_image_stops_no_roll(image):
    target = pod(containers=(container(image=image, started_at=None),))
    trigger = recorded(candidate(pod=target)).trigger
    assert (trigger.image, trigger.container_started) == (image[:512], None)


def test_the_spec_contains_the_workload():
    spec = recorded(candidate())
    assert str(spec.workload) == "Deployment/leaky"
    assert recorded(candidate(workload=None)).workload is None


def test_the_drain_is_that_of_the_policy():
    drain = {"mode": "Detach", "minDuration": "30s", "timeout": "5m", "until": {"metric": "inflight", "maxValue": 1}}
    spec = recorded(candidate(), roll={"drain": drain})
    assert spec.drain.to_dict() == drain
    assert spec.drain == policy(roll={"drain": drain}).spec.roll.drain


def test_the_reason_contains_why_the_pod_is_rolled_now():
    early = candidate(
        advanced_because="2h before its deadline: peers",
        outside_window_because="outside the maintenance windows: too late",
    )
    assert recorded(early).reason.endswith(
        "limit in 20s; 2h before its deadline: peers; outside the maintenance windows: too late"
    )
    assert recorded(candidate()).reason.endswith("limit in 20s")


@pytest.mark.parametrize(
    ("start_s", "timeout", "expected_s", "reason"),
    [
        pytest.param(None, "10m", 600, "", id="not known"),
        pytest.param(599.0, "10m", 600, "", id="within the timeout"),
        pytest.param(
            900.0, "10m", 1350, "; replacementTimeout 22m instead of 10m: its pods become Ready in 15m", id="longer",
        ),
        pytest.param(
            3000.0, "10m", 2400,
            "; replacementTimeout 40m instead of 10m: its pods become Ready in 50m, "
            "set a longer roll.replacementTimeout",
            id="longer than four timeouts",
        ),
        pytest.param(
            18_000.0, "3h", 21_600, "; replacementTimeout 6h instead of 3h: its pods become Ready in 5h",
            id="at most what the CRD allows",
        ),
    ],
)  # fmt: skip
def test_pods_that_are_known_to_start_slowly_get_a_longer_timeout(start_s, timeout, expected_s, reason):
    spec = recorded(candidate(known_start_s=start_s), roll={"replacementTimeout": timeout})
    assert spec.replacement_timeout_seconds == expected_s
    assert spec.reason.endswith(f"limit in 20s{reason}")


def record(uid: str, seconds: float, pod_uid: str = "uid-leaky-abc", phase: str = "Failed") -> PodRoll:
    raw = roll_json(phase, created=at(seconds), spec={"podUID": pod_uid})
    return PodRoll.read(raw | {"metadata": raw["metadata"] | {"name": f"name-{uid}", "uid": uid}})


def name_of(records: list[PodRoll]) -> str:
    return next(roll_names(pod().key, records))


def test_every_operator_uses_the_same_name_for_an_attempt():
    records = [record("a", 0), record("b", 60)]
    assert name_of(records) == name_of(records[::-1])
    assert name_of(records) == name_of([*records, record("c", 90, pod_uid="another")])
    assert name_of([]).startswith("leaky-abc-")


def test_each_attempt_has_its_own_name():
    first, second, third = [], [record("a", 0)], [record("a", 0), record("b", 60)]
    assert len({name_of(records) for records in (first, second, third)}) == 3
    assert name_of(third[1:]) == name_of(third), "with or without the older record"


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.randoms(use_true_random=False))
def test_no_attempt_has_the_name_of_a_record_that_exists(kept, random):
    """Records go in any order: by hand, by the cap of their namespace, by age. Some were made in the same second."""
    records: dict[str, PodRoll] = {}
    for number, keep in enumerate(kept):
        name = name_of(list(records.values()))
        assert name not in records
        records[name] = record(f"uid-{number}", number // 3).model_copy(update={"name": name})
        if not keep:
            del records[random.choice(list(records))]


def test_taken_names_are_skipped():
    names = list(islice(roll_names(pod().key, []), 3))
    squatter = record("x", 0, pod_uid="another").model_copy(update={"name": names[0]})
    assert list(islice(roll_names(pod().key, [squatter]), 2)) == names[1:]


def test_a_long_name_fits():
    assert len(next(roll_names(pod("x" * 253).key, []))) <= 253


@pytest.mark.parametrize("position", [MAX_POD_NAME_CHARS - 1, MAX_POD_NAME_CHARS])
@pytest.mark.parametrize("separators", [".", "-", "--"])
def test_a_long_name_is_not_cut_at_a_separator(separators, position):
    """The API server refuses a name with a part that begins or ends with a hyphen."""
    made = next(roll_names(pod(("x" * position + separators).ljust(253, "x")).key, []))
    assert VALID_NAME.fullmatch(made)
