"""Limits of containers in pods that have a memory limit of their own."""

from __future__ import annotations

import pytest

from memroll.detection.assess import Assessor
from memroll.detection.pod_limit import with_shared_limits
from memroll.detection.samples import PrefilterResult, PrefilterRow
from memroll.model.roll_duration import RollDurations
from tests.builders import MIB, NOW, container, line, pod, policy
from tests.fakes import FakePrometheus

OTHER = 200 * MIB


def usage(**working_set_bytes: float | None) -> PrefilterResult:
    rows = (
        PrefilterRow("leaky-abc", name, f"id-{name}", (), 9, used, used, NOW.timestamp())
        for name, used in working_set_bytes.items()
    )
    return PrefilterResult(tuple(rows), (), NOW.timestamp())


def limits(pod_limit: int | None, own: dict[str, int | None], found: PrefilterResult) -> list[int | None]:
    containers = tuple(container(name=name, id=f"id-{name}", limit_bytes=limit) for name, limit in own.items())
    (shared,) = with_shared_limits([pod(containers=containers, limit_bytes=pod_limit)], found)
    return [None if c.limit_bytes is None else c.limit_bytes // MIB for c in shared.containers]


@pytest.mark.parametrize(
    ("pod_limit", "own", "used", "expected"),
    [
        pytest.param(None, {"app": None, "proxy": 64}, {"app": 500, "proxy": 60}, [None, 64], id="no limit of the pod"),
        pytest.param(512, {"app": 512}, {"app": 500}, [512], id="one container has all of it"),
        pytest.param(512, {"app": 512, "proxy": 512}, {"app": 300, "proxy": 200}, [312, 212], id="two share it"),
        pytest.param(512, {"app": 512, "proxy": 64}, {"app": 300, "proxy": 60}, [452, 64], id="one has its own"),
        pytest.param(512, {"app": 512, "proxy": 512}, {"app": 300}, [512, 212], id="one without samples"),
        pytest.param(512, {"app": 512, "proxy": 512}, {"app": 300, "proxy": None}, [512, 212], id="no current sample"),
    ],
)  # fmt: skip
def test_a_container_can_use_what_the_others_leave_of_the_pod_s_limit(pod_limit, own, used, expected):
    own_bytes = {name: None if limit is None else limit * MIB for name, limit in own.items()}
    used_bytes = {name: None if size is None else float(size * MIB) for name, size in used.items()}
    assert limits(None if pod_limit is None else pod_limit * MIB, own_bytes, usage(**used_bytes)) == expected


def test_a_limit_is_never_zero_or_below():
    """Usage and limit are read one after the other, and page cache counts: the sum can be above the limit."""
    found = usage(app=600.0 * MIB, proxy=600.0 * MIB)
    assert limits(512 * MIB, {"app": 512 * MIB, "proxy": 512 * MIB}, found) == [0, 0]
    (shared,) = with_shared_limits([pod(containers=(container(id="id-app"),), limit_bytes=5)], usage(app=9.0))
    assert shared.containers[0].limit_bytes == 5


def test_a_container_that_is_not_running_uses_nothing():
    stopped = container(name="proxy", id="", started_at=None, limit_bytes=512 * MIB)
    running = container(id="id-app", limit_bytes=512 * MIB)
    (shared,) = with_shared_limits(
        [pod(containers=(running, stopped), limit_bytes=512 * MIB)], usage(app=300.0 * MIB, proxy=100.0 * MIB)
    )
    assert [c.limit_bytes for c in shared.containers] == [512 * MIB, 212 * MIB]


async def test_an_assessment_is_by_the_shared_limit():
    containers = (container(id="id-leaky-abc", limit_bytes=10 * OTHER),)
    watched = policy()
    durations = RollDurations({}, None, watched.spec.roll.drain)
    pods = (pod(containers=containers, limit_bytes=OTHER), pod("other", containers=containers))
    assessments = await Assessor(watched, pods, durations, NOW).assess(FakePrometheus({"id-leaky-abc": line(0.1)}))
    assert [a.container.limit_bytes for a in assessments] == [OTHER, 10 * OTHER]
