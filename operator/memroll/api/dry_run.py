"""Record of a roll that a policy in mode DryRun would have made."""

from __future__ import annotations

from pydantic import Field

from memroll.api.base import ApiModel, Name, ShortText, Time, Uid, WorkloadRef

MAX_DRY_RUNS = 100
"""Maximum number of entries in `status.dryRuns`, chosen by hand: they are what a trial counts against its budgets."""
MAX_REASON_CHARS = 256
"""Maximum length of the reason of a dry run, in characters; chosen by hand."""


class DryRun(ApiModel):
    """Roll that the policy would have made in mode Enforce."""

    pod: Name
    """Name of the pod."""
    pod_uid: Uid = Field(default="", serialization_alias="podUID", validation_alias="podUID")
    """UID of the pod."""
    container: ShortText
    """Name of the container because of which it would have been rolled."""
    workload: WorkloadRef | None = None
    """Workload of the pod."""
    time: Time
    """Time at which it would have been rolled."""
    reason: str = Field(default="", max_length=MAX_REASON_CHARS)
    """Reason for the roll, as a sentence."""
