"""Parts of a PodRoll's status: the times of its phases, and its failed steps."""

from __future__ import annotations

from memroll.api.base import ApiModel, Message, ShortText, Time


class PhaseTimes(ApiModel):
    """Times at which the phases began."""

    announced: Time | None = None
    """Time at which the phase `Announced` began."""
    capturing_evidence: Time | None = None
    """Time at which the phase `CapturingEvidence` began."""
    replacing: Time | None = None
    """Time at which the phase `Replacing` began."""
    draining: Time | None = None
    """Time at which the phase `Draining` began."""
    evicting: Time | None = None
    """Time at which the phase `Evicting` began."""
    verifying: Time | None = None
    """Time at which the phase `Verifying` began."""
    detach_refused: Time | None = None
    """Time of the first dry run of the eviction that was not accepted, so that the pod is not detached; not a phase."""
    rolling_back: Time | None = None
    """Time at which memroll began to restore the pod; not a phase."""
    finished: Time | None = None
    """Time at which the roll ended."""


class StepFailure(ApiModel):
    """First of consecutive steps of the roll that an unexpected error has ended."""

    reason: ShortText
    """Cause as one CamelCase word: `InternalError`, a bug of memroll."""
    message: Message = ""
    """Cause as a sentence."""
    since: Time
    """Time of the first failed step."""
