"""Recent rolls of a policy, and its last action, as its status contains them."""

from __future__ import annotations

from memroll.api.base import ApiModel, Message, Name, ShortText, Time


class LastRoll(ApiModel):
    """Recent roll of the policy."""

    name: Name
    """Name of the PodRoll."""
    pod: Name
    """Name of the rolled pod."""
    phase: ShortText
    """Phase of the PodRoll."""
    time: Time
    """End of the roll, or its beginning while it is in progress."""
    reason: Message = ""
    """Reason for the roll, as a sentence."""


class LastAction(ApiModel):
    """Most recent action of the policy."""

    action: ShortText
    """`Rolling`, `Rolled`, `Failed` or `Aborted`; in mode DryRun also `WouldRoll`."""
    pod: Name
    """Name of the pod."""
    time: Time
    """Time of the action: the end of a roll, or its beginning while it is in progress."""
