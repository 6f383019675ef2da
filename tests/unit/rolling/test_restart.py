"""Strategy Restart: the workload's own controller restarts its pods."""

from __future__ import annotations

from memroll.api.pod_roll import Phase, PodRoll
from memroll.rolling.observation import Observation
from memroll.rolling.restart import RESTART_WORKLOAD
from tests.builders import NOW, advance, after_steps, at, pod, roll_json, workload

BEFORE = Observation(pod(), workload())
REPLACEMENT = pod("leaky-new", created_at=at(2), ready=True)


def test_a_restart_ends_with_the_workload_s_own_rollout():
    roll = after_steps(PodRoll.read(roll_json(spec={"strategy": "Restart"})), BEFORE)
    begun = advance(roll, BEFORE, NOW)
    assert (begun.status.phase, begun.actions, begun.status.restarted_at) == (Phase.REPLACING, (RESTART_WORKLOAD,), NOW)
    roll = after_steps(roll, BEFORE)
    assert advance(roll, BEFORE, at(1)).actions == (RESTART_WORKLOAD,), "a lost write is repeated"
    updating = "Deployment/leaky has updated 0 of 1 pods"
    in_progress = workload(restarted_at=at(0), rollout_in_progress=updating, owner_rollout_in_progress=updating)
    assert advance(roll, Observation(pod(), in_progress), at(2)).actions == ()
    newer = workload(restarted_at=at(3600), owner_rollout_in_progress="goes on")
    assert advance(roll, Observation(pod(), newer), at(2)).actions == (), "a later restart by somebody else counts"
    done = workload(restarted_at=at(0), rollout_in_progress="Deployment/leaky is at revision 2, the pod at 1")
    roll = after_steps(roll, Observation(None, done, (REPLACEMENT,)), Observation(None, done, (REPLACEMENT,)))
    assert roll.status.phase is Phase.SUCCEEDED
    late = after_steps(PodRoll.read(roll_json(spec={"strategy": "Restart"})), BEFORE, BEFORE)
    assert advance(late, Observation(pod(), in_progress), at(601)).status.phase is Phase.FAILED


def test_a_restart_by_argo_ends_when_all_pods_are_restarted():
    """Argo evicts one pod after the other; its Rollout is in no rollout meanwhile."""
    roll = after_steps(PodRoll.read(roll_json(spec={"strategy": "Restart"})), BEFORE, BEFORE)
    waiting = "Rollout/leaky has not restarted all pods since 2026-03-01T12:00:00Z"
    partly = workload(restarted_at=at(0), restart_in_progress=waiting)
    found = advance(roll, Observation(None, partly, (REPLACEMENT,)), at(2)).status
    assert (found.phase, found.message) == (Phase.REPLACING, f"restarting: {waiting}")
    done = workload(restarted_at=at(0))
    assert advance(roll, Observation(None, done, (REPLACEMENT,)), at(2)).status.phase is Phase.VERIFYING
