"""What is recorded of a planned roll."""

from __future__ import annotations

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memroll.api.pod_roll import PodRoll
from memroll.detection.verdict import Breach
from memroll.detection.window import Code
from memroll.planning.pod_roll_manifest import manifest, names_of
from tests.builders import at, candidate, container, pod, policy, roll_json


def recorded(made, **spec):
    raw = manifest(policy(**spec), "leaky-abc-1", made)
    raw["metadata"] |= {"uid": "roll-1", "creationTimestamp": "2026-03-01T12:00:00Z"}
    return PodRoll.read(raw).spec


def test_a_roll_says_which_container_it_is_for():
    target = pod(containers=(container(image="registry/chat:2", started_at=at(-90)),))
    finding = recorded(candidate(target=target)).finding
    assert (finding.container, finding.image, finding.container_started) == ("app", "registry/chat:2", at(-90))
    assert finding.time_to_limit_seconds == 20


def test_a_pod_above_the_ceiling_that_does_not_grow_is_not_said_to_die():
    """It would be evicted without a replacement, were it known to reach its limit soon."""
    above = Breach(Code.CEILING, "above the ceiling of 50% of the limit for 10 s", None, 90.0, 0.0, due=True)
    assert recorded(candidate(breach=above)).finding.time_to_limit_seconds is None


@pytest.mark.parametrize("image", ["", "x" * 600])
def test_an_odd_image_stops_no_roll(image):
    target = pod(containers=(container(image=image, started_at=None),))
    finding = recorded(candidate(target=target)).finding
    assert (finding.image, finding.container_started) == (image[:512], None)


def test_the_workload_is_named_from_the_first_moment_on():
    spec = recorded(candidate())
    assert str(spec.workload) == "Deployment/leaky"
    assert recorded(candidate(workload=None)).workload is None


def test_the_drain_is_that_of_the_policy():
    drain = {"mode": "Detach", "wait": "30s", "timeout": "5m", "until": {"metric": "inflight", "atMost": 1}}
    spec = recorded(candidate(), roll={"drain": drain})
    assert spec.drain.on_the_wire() == drain
    assert spec.drain == policy(roll={"drain": drain}).spec.roll.drain


def test_the_reason_says_why_now():
    early = candidate(hurried="2h before its deadline: siblings", outside="outside of the windows: too late")
    assert recorded(early).reason.endswith(
        "limit in 20s; 2h before its deadline: siblings; outside of the windows: too late"
    )
    assert recorded(candidate()).reason.endswith("limit in 20s")


def record(uid: str, seconds: float, pod_uid: str = "uid-leaky-abc", phase: str = "Failed") -> PodRoll:
    raw = roll_json(phase, created=at(seconds), spec={"podUID": pod_uid})
    return PodRoll.read(raw | {"metadata": raw["metadata"] | {"name": f"name-{uid}", "uid": uid}})


def name_of(records: list[PodRoll]) -> str:
    return next(names_of(pod().key, records))


def test_an_attempt_has_the_same_name_for_whoever_records_it():
    records = [record("a", 0), record("b", 60)]
    assert name_of(records) == name_of(records[::-1])
    assert name_of(records) == name_of([*records, record("c", 90, pod_uid="another")])
    assert name_of([]).startswith("leaky-abc-")


def test_each_attempt_has_a_name_of_its_own():
    first, second, third = [], [record("a", 0)], [record("a", 0), record("b", 60)]
    assert len({name_of(records) for records in (first, second, third)}) == 3
    assert name_of(third[1:]) == name_of(third), "whether the older record is there still"


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


def test_names_that_others_took_are_passed_over():
    names = list(islice(names_of(pod().key, []), 3))
    squatter = record("x", 0, pod_uid="another").model_copy(update={"name": names[0]})
    assert list(islice(names_of(pod().key, [squatter]), 2)) == names[1:]


def test_a_long_name_fits():
    assert len(next(names_of(pod("x" * 253).key, []))) <= 253
