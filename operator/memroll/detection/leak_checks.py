"""Whether it leaks. Looks at a family of windows; each must pass the guards of its own shape, then those of its past.

The family: the policy's window, four times as long (a leak under large collections, or a slow one), and a third of it
(a fast one, with little time left). A pod that is too young to have a yesterday is told only when its limit is near:
most of what looks like a leak in a pod's first day is its first day.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from memroll.api.quantity import about, mib
from memroll.detection import load_correlation, peers, seasonality
from memroll.detection.growth_phase import climb
from memroll.detection.time_to_limit import time_to_limit_s
from memroll.detection.window import COVERED_SHARE, GUARDS, Code, Guard, Look, usable_limit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memroll.detection.container_history import Rule, Subject

NEW_HIGH_SHARE_OF_RISE = 0.35
BY_AGE_MIN = 0.3
STOOD_WINDOWS_MAX = 1 / 3
NEAR_WINDOWS = 1 / 24
"""A limit within a twenty-fourth of a window is near, or within what a roll needs."""
TOGETHER_DAYS = 0.8
"""A climb that fills a day is seen to have begun 0.85 days ago: its lowest 15 % are left out (`climb.LOWER_SHARE`)."""
LASTED_WINDOWS_MIN = 0.75
"""Loads ramp up within hours; what has climbed for less than this may be one of them."""


def _not_survived(look: Look) -> float:
    """Return minus the seconds that a peer stood as high without growing on."""
    return -peers.survived(look, look.peers)


CONTEXT_GUARDS: tuple[Guard, ...] = (
    Guard(
        Code.AS_YESTERDAY,
        seasonality.above_yesterday_bytes,
        lambda look: NEW_HIGH_SHARE_OF_RISE * look.trend.rise_bytes,
        lambda n, m: f"{mib(n)} above the same hours of the day before, a leak over {mib(m)}",
    ),
    Guard(
        Code.NO_NEW_HIGH,
        seasonality.above_past_bytes,
        lambda _: 0.0,
        lambda n, _: f"{mib(-n)} below what it held during the past day",
    ),
    Guard(
        Code.BUSIER_DAY,
        seasonality.peak_of_scaled_day_bytes,
        usable_limit,
        lambda n, m: f"the day before, only busier: would end at {mib(n)}, a leak above {mib(m)}",
    ),
    Guard(
        Code.FOLLOWS_LOAD,
        load_correlation.unexplained_share,
        lambda _: load_correlation.UNEXPLAINED_SHARE_MIN,
        lambda n, m: f"load explains all but {max(n, 0):.0%} of the climb, a leak leaves over {m:.0%}",
    ),
    Guard(
        Code.SURVIVED,
        _not_survived,
        lambda look: -STOOD_WINDOWS_MAX * look.rule.window_s,
        lambda n, _: f"another pod of this workload stood as high for {about(-n)} and stopped there",
    ),
    Guard(
        Code.SHARED,
        lambda look: peers.by_age(look, look.peers),
        lambda _: BY_AGE_MIN,
        lambda n, m: (
            f"pods of all ages climb together: {max(n, 0):.0%} of the slope goes by age, of a leak's over {m:.0%}"
        ),
    ),
)


def _began_s(look: Look) -> float:
    """Return for how long the climb has lasted, in seconds."""
    now = climb(look.subject, look.rule, look.at_s)
    return 0.0 if now is None else now.began_s


def _together_s(look: Look) -> float:
    """Return how long pods of one age have climbed together, in seconds; infinity where age or siblings tell more."""
    if peers.shared(look, look.peers) < peers.PARALLEL_SHARE or np.isfinite(peers.by_age(look, look.peers)):
        return float("inf")
    return _began_s(look)


def _known_s(look: Look) -> float:
    """Return how far back its life is known, in seconds, warm-up left out."""
    return look.at_s - max(look.judged_from_s, look.subject.rss.first_s)


FAR_GUARDS: tuple[Guard, ...] = (
    Guard(
        Code.NO_HISTORY,
        _known_s,
        lambda look: min(
            look.rule.day_s + look.rule.window_s, max(look.rule.day_s, (1 + COVERED_SHARE) * look.window_s)
        ),
        lambda n, m: f"known for {about(n)} only, {about(m)} needed to compare with the time before",
    ),
    Guard(
        Code.RECENT,
        _began_s,
        lambda look: LASTED_WINDOWS_MIN * look.rule.window_s,
        lambda n, m: f"climbs for {about(n)} only, a leak for over {about(m)}",
    ),
    Guard(
        Code.TOGETHER,
        _together_s,
        lambda look: TOGETHER_DAYS * look.rule.day_s,
        lambda n, m: f"all pods of this age climb together, for {about(n)} so far: told as a leak after {about(m)}",
    ),
)
"""Asked while the limit is far: there is time to learn more."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one look found. `code` is None for a leak."""

    look: Look
    code: Code | None
    message: str = ""
    suspicious: bool = False
    """Its shape is a leak's; only its past or its peers speak for it."""


def is_near(look: Look) -> bool:
    """Whether there is no time left to learn more."""
    return time_to_limit_s(look) <= max(NEAR_WINDOWS * look.rule.window_s, look.rule.lead.least_s)


def find(look: Look, *, hurried: bool = False) -> Finding:
    """Ask all guards of one window; `hurried`: as if its limit were near."""
    for guard in GUARDS:
        words = guard.explain(look)
        if words is not None:
            return Finding(look, guard.code, words)
    near = hurried or is_near(look)
    if look.window_s < look.rule.window_s and not near:
        return Finding(look, Code.UNCERTAIN, "a short window counts only when the limit is near")
    for guard in (*CONTEXT_GUARDS, *(() if near else FAR_GUARDS)):
        words = guard.explain(look)
        if words is not None:
            return Finding(look, guard.code, words, suspicious=True)
    return Finding(look, None)


def findings(
    subject: Subject, rule: Rule, at_s: float, peers: tuple[Subject, ...], *, hurried: bool = False
) -> Iterator[Finding]:
    """Look at each window that has enough samples, the policy's own first."""
    for window_s in rule.windows_s:
        look = Look(subject, rule, window_s, at_s, peers)
        if not look.shortage:
            yield find(look, hurried=hurried)


def look_back(subject: Subject, rule: Rule, now_s: float, peers: tuple[Subject, ...]) -> tuple[Finding | None, bool]:
    """Return what speaks loudest at `now_s`, and whether a leak was found half of `persist` and all of it ago, too.

    None when no window has enough samples yet.
    """
    loudest = None
    for found in findings(subject, rule, now_s, peers):
        if found.look.window_s < rule.window_s and found.code is not None:
            continue  # a short window can speak against a container, not for it
        if loudest is None or found.suspicious > loudest.suspicious or found.code is None:
            loudest = found
        if found.code is None:
            break
    if loudest is None or loudest.code is not None:
        return loudest, False
    hurried = is_near(loudest.look)
    return loudest, all(
        any(f.code is None for f in findings(subject, rule, now_s - ago_s, peers, hurried=hurried))
        for ago_s in (rule.persist_s / 2, rule.persist_s)
    )
