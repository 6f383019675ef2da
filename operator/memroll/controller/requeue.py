"""Delays until a key is reconciled again: after success, an error, a conflict, or while another process leads.

Both controllers call these functions and return the delay to their work queue.
"""

from __future__ import annotations

import logging
import random
from typing import TYPE_CHECKING

from memroll.errors import BoundExceededError, InternalError, RetryableError

if TYPE_CHECKING:
    from memroll.controller.workqueue import Key
    from memroll.errors import MemrollError
    from memroll.reporting.outcome import Outcome

logger = logging.getLogger(__name__)

STANDBY_S = 2.0
"""Delay in seconds after which a process that does not lead checks the Lease again, chosen by hand."""
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
JITTER_RATIO = 0.05
"""Maximum ratio of random jitter to the interval, chosen by hand: it spreads policies that were created together."""


def after_error(error: MemrollError, kind: str, key: Key) -> float:
    """Log the error of a reconcile; return the delay in seconds until the next one."""
    logger.warning("%s %s/%s: %s", kind, key.namespace, key.name, error)
    return min(error.retry_after_s, MAX_RETRY_S) if isinstance(error, RetryableError) else MAX_RETRY_S


def after_reconcile(outcome: Outcome) -> float:
    """Return the delay in seconds after a recorded reconcile: the interval with jitter.

    It is shorter after a temporary error, and for a new policy whose pods do not exist yet. After a bug it is that of
    the work queue.
    """
    policy, error = outcome.policy, outcome.retry_because
    interval_s = policy.spec.interval.total_seconds()
    if isinstance(error, InternalError):
        return error.retry_after_s
    if isinstance(error, BoundExceededError):
        interval_s = max(interval_s, REFUSED_S)
    if isinstance(error, RetryableError):
        return min(interval_s, max(error.retry_after_s, MAX_RETRY_S))
    is_new = (outcome.now - policy.created_at).total_seconds() < NEW_POLICY_S
    has_pods = outcome.watched_pods or outcome.conflicting_pods
    if is_new and error is None and not policy.spec.suspend and not has_pods:
        return min(interval_s, MISSING_PODS_S)
    return interval_s * (1 + random.uniform(-JITTER_RATIO, JITTER_RATIO))  # noqa: S311 - spread, not secrecy
