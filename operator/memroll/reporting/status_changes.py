"""Decision whether a new status is written: if its words, pods, counts or conditions have changed.

Usage, growth and the times of the ledger differ at each reconcile; they alone are written every `MAX_AGE`. A write of
7 KiB for each policy and interval would be the largest part of all writes, and the watch sends each one back.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from memroll.reporting.words import words_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from memroll.api.leak_ledger import LedgerEntry
    from memroll.api.policy import AtRiskPod, PolicyStatus
    from memroll.reporting.outcome import Outcome

MAX_AGE = timedelta(minutes=15)
"""Maximum age of a status that has changed in numbers only, chosen by hand."""
MAX_TIME_CHANGE_RATIO = 0.2
"""Maximum change of the shortest time to the limit that is not written, as a ratio of the written one. By hand."""
HEALTHY = "Healthy"


def must_be_written(outcome: Outcome, new: PolicyStatus, written_at: datetime | None) -> bool:
    """Return whether to write a status. `written_at`: time of this process' last write; None: it has made none."""
    old, now = outcome.policy.status, outcome.now
    if new == old:
        return False
    is_recent = written_at is not None and timedelta(0) <= now - written_at < MAX_AGE
    return not is_recent or _has_changed(old, new) or _names_missing_pods(old, outcome)


def _has_changed(old: PolicyStatus, new: PolicyStatus) -> bool:
    has_moved = _has_moved(_left_s(old.at_risk), _left_s(new.at_risk))
    return has_moved or _facts(old) != _facts(new) or _have_verdicts_changed(old.at_risk, new.at_risk)


def _facts(status: PolicyStatus) -> tuple[object, ...]:
    """Return the parts of a status of which each change is written."""
    conditions = {(c.type, c.status, c.reason, words_of(c.message), c.observed_generation) for c in status.conditions}
    ledger = tuple(_without_measurements(entry) for entry in status.ledger)
    counts = status.pods, status.rolls, status.last_rolls, status.dry_runs, status.observed_generation
    return conditions, ledger, counts, status.autoscalers, status.suggestions, status.exits


def _have_verdicts_changed(old: Iterable[AtRiskPod], new: Iterable[AtRiskPod]) -> bool:
    """Return whether a verdict has changed, or one that is not Healthy is new or gone.

    The healthy containers that are closest to their limit take turns, and the reason for which one is healthy changes
    with its noise.
    """
    before, after = _verdicts(old), _verdicts(new)
    both = before.keys() & after.keys()
    only_once = [(before | after)[key] for key in before.keys() ^ after.keys()]
    return any(before[key] != after[key] for key in both) or any(v[0] != HEALTHY for v in only_once)


def _verdicts(pods: Iterable[AtRiskPod]) -> dict[tuple[str, str], tuple[str, str, str]]:
    return {(p.pod, p.container): _verdict(p) for p in pods}


def _verdict(pod: AtRiskPod) -> tuple[str, str, str]:
    gate = " ".join((pod.blocked_by.gate, *(pod.blocked_by.others or ()))) if pod.blocked_by else ""
    return pod.verdict, "" if pod.verdict == HEALTHY and not gate else pod.reason, gate


def _without_measurements(entry: LedgerEntry) -> LedgerEntry:
    """Return an entry of the ledger without what changes as a known leak goes on."""
    fixed = {"last_seen": entry.first_seen, "growth_bytes_per_hour": None, "growth_bytes_per_request": None}
    return entry.model_copy(update=fixed)


def _left_s(pods: Iterable[AtRiskPod]) -> int | None:
    return min((p.time_to_limit_seconds for p in pods if p.time_to_limit_seconds is not None), default=None)


def _has_moved(old_s: int | None, new_s: int | None) -> bool:
    if old_s is None or new_s is None:
        return old_s != new_s
    return abs(new_s - old_s) > MAX_TIME_CHANGE_RATIO * old_s


def _names_missing_pods(old: PolicyStatus, outcome: Outcome) -> bool:
    """Return whether the written status names pods that the policy no longer watches."""
    if outcome.error is not None:
        return False
    watched = {a.pod.key.name for a in outcome.assessments}
    return any(p.pod not in watched for p in old.at_risk)
