"""What is recorded of a planned roll."""

from __future__ import annotations

import pytest

from memroll.analysis.look import Code
from memroll.analysis.verdict import Breach
from memroll.api.roll import PodRoll
from memroll.reconcile.manifest import manifest
from tests.builders import at, candidate, container, pod, policy


def recorded(made, **spec):
    raw = manifest(policy(**spec), (), made)
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
