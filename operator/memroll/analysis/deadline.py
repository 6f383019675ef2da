"""Tell early, act late: when a leaking pod must be rolled at the latest.

A leak does not have to be rolled when it is recognised, only before it hurts. Rolling just in time gives
away a tenth of a pod's life instead of half of it, and an innocent pod that was suspected has time to
prove itself.
"""

from __future__ import annotations

LEAD_SHARE_OF_LIFE = 0.15
LEAD_MAX_S = 7200.0
ROLLS_OF_SLACK = 3.0
USAGE_SHARE_MIN = 0.6
"""Below this share of its limit nothing is due, however steep the line looks."""


def lead_s(*, fixed_s: float | None, age_s: float, time_to_limit_s: float, roll_s: float, interval_s: float) -> float:
    """Return how long before its limit a pod is rolled, in seconds.

    Auto (`fixed_s` is None): 15 % of the predicted life, at least three times what a roll takes and one
    interval more (the next look may come that late), at most 2 h. A fixed lead is raised to that least, too.
    """
    least = ROLLS_OF_SLACK * roll_s + interval_s
    if fixed_s is not None:
        return max(fixed_s, least)
    return max(least, min(LEAD_SHARE_OF_LIFE * (age_s + time_to_limit_s), LEAD_MAX_S))


def is_due(*, time_to_limit_s: float, lead: float, usage_bytes: float, limit_bytes: int) -> bool:
    """Whether the pod must be rolled now: its limit is within the lead, and it has used most of its memory."""
    return time_to_limit_s <= lead and usage_bytes >= USAGE_SHARE_MIN * limit_bytes
