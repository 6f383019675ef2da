"""Delays until a key is reconciled again: after success, an error or a conflict.

Both controllers call these functions and return the delay to their work queue.
"""

from __future__ import annotations

import logging
import random
import zlib
from typing import TYPE_CHECKING

from memroll.errors import BoundExceededError, InternalError, RetryableError

if TYPE_CHECKING:
    from memroll.controller.key import Key
    from memroll.errors import MemrollError
    from memroll.reporting.outcome import Outcome

logger = logging.getLogger(__name__)

MAX_RETRY_S = 15.0
"""Maximum delay in seconds after an error, chosen by hand."""
AFTER_CONFLICT_S = 0.2
"""Delay in seconds after a conflicting write, chosen by hand."""
MIN_REPEAT_S = 2.0
"""Minimum time in seconds between two reconciles of a policy that is edited all the time, chosen by hand. An edit makes
the reconcile in progress end with a conflict."""
REFUSED_S = 300.0
"""Delay in seconds until a policy beyond a bound is reconciled again, chosen by hand: others may have been deleted."""
NEW_POLICY_S = 600.0
"""Age in seconds up to which a policy without pods is reconciled soon again, chosen by hand: a policy is often applied
shortly before its workload."""
MISSING_PODS_S = 5.0
"""Delay in seconds until a new policy without pods is reconciled again, chosen by hand."""
MAX_BACKOFF_S = 60.0
"""Maximum delay in seconds of a policy after temporary errors one after the other, chosen by hand: it doubles from
`MAX_RETRY_S` on."""
BACKOFF_JITTER_RATIO = 0.2
"""Maximum ratio of random jitter to the delay after a temporary error, chosen by hand."""
JITTER_RATIO = 0.05
"""Maximum ratio of random jitter to the interval, chosen by hand: it spreads policies that were created together."""
MIN_WAIT_RATIO = 0.2
"""Minimum ratio of the delay to the interval for the policies of one namespace, chosen by hand."""


def after_error(error: MemrollError, kind: str, key: Key) -> float:
    """Log the error of a reconcile; return the delay in seconds until the next one."""
    logger.warning("%s %s/%s: %s", kind, key.namespace, key.name, error)
    return min(error.retry_after_s, MAX_RETRY_S) if isinstance(error, RetryableError) else MAX_RETRY_S


def after_reconcile(outcome: Outcome, failures: int = 1, *, shares_pods: bool = False) -> float:
    """Return the delay in seconds after a recorded reconcile: the interval with jitter.

    `shares_pods`: the namespace has other policies. They are due together, and its pods are listed once.

    It is shorter after a temporary error, and for a new policy whose pods do not exist yet. After a bug it is that of
    the work queue. `failures`: number of consecutive reconciles that ended with a temporary error, with this one.
    """
    policy, error = outcome.policy, outcome.retry_because
    interval_s = policy.spec.interval.total_seconds()
    if isinstance(error, InternalError):
        return error.retry_after_s
    if isinstance(error, BoundExceededError):
        interval_s = max(interval_s, REFUSED_S)
    if isinstance(error, RetryableError):
        backoff_s = min(MAX_RETRY_S * 2 ** min(failures - 1, 8), MAX_BACKOFF_S)
        return min(interval_s, max(error.retry_after_s, _with_jitter(backoff_s, BACKOFF_JITTER_RATIO)))
    is_new = (outcome.now - policy.created_at).total_seconds() < NEW_POLICY_S
    has_pods = outcome.watched_pods or outcome.conflicting_pods
    if is_new and error is None and not policy.spec.suspend and not has_pods:
        return min(interval_s, MISSING_PODS_S)
    if shares_pods:
        return _until_due_together_s(interval_s, policy.namespace, outcome.now.timestamp())
    return _with_jitter(interval_s, JITTER_RATIO)


def _until_due_together_s(interval_s: float, namespace: str, now_s: float) -> float:
    """Return the delay until the next time at which the policies of a namespace with this interval are due.

    The times of different namespaces are spread over the interval.
    """
    offset_s = zlib.crc32(namespace.encode()) / 2**32 * interval_s
    wait_s = interval_s - (now_s - offset_s) % interval_s
    return wait_s if wait_s >= MIN_WAIT_RATIO * interval_s else wait_s + interval_s


def _with_jitter(delay_s: float, ratio: float) -> float:
    return delay_s * (1 + random.uniform(-ratio, ratio))  # noqa: S311 - spread, not secrecy
