"""`status.dryRuns` of a policy in mode DryRun: the rolls that it would have made, newest first.

`reporting.status` calls it with the outcome of each reconcile. The entries count for the gates of later reconciles
(`planning.dry_run`).
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from memroll.api.dry_run import MAX_DRY_RUNS, MAX_REASON_CHARS, DryRun
from memroll.api.policy import Mode
from memroll.planning.pod_roll_manifest import owner_ref, roll_reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memroll.planning.candidate import Candidate
    from memroll.reporting.outcome import Outcome

MAX_AGE = timedelta(days=7)
"""Maximum age of a dry run whose pod no longer exists: that of an ended PodRoll."""


def update_dry_runs(old: Sequence[DryRun], outcome: Outcome) -> tuple[DryRun, ...]:
    """Return the dry runs with those of this reconcile; none in another mode."""
    if outcome.policy.spec.mode is not Mode.DRY_RUN:
        return ()
    if outcome.error is not None:
        return tuple(old)
    watched = {a.pod.key.uid for a in outcome.assessments}
    kept = (d for d in old if d.pod_uid in watched or outcome.now - d.time < MAX_AGE)
    return (*(_new(outcome, c) for c in outcome.plan.dry_runs), *kept)[:MAX_DRY_RUNS]


def _new(outcome: Outcome, candidate: Candidate) -> DryRun:
    pod = candidate.pod.key
    return DryRun(
        pod=pod.name,
        pod_uid=pod.uid,
        container=candidate.container,
        workload=owner_ref(candidate),
        time=outcome.now,
        reason=roll_reason(outcome.policy, candidate)[:MAX_REASON_CHARS],
    )
