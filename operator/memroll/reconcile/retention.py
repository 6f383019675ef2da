"""Delete the PodRolls that are no longer retained, in every namespace: `controller.resync` does so at each resync.

Not in the reconcile of a policy: a namespace without a policy, or with a suspended one, has PodRolls as well.

The age of a record is measured by the process' clock and by the API server's, which wrote the time of creation: it is
old only if it is old by both. If both jump, for example on a virtual machine that was stopped, a resync deletes at most
`MAX_EXPIRED`, the oldest first: a person has hours to set the clock. Those beyond the maximum number per namespace are
deleted faster, for their number does not depend on a clock.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from memroll.errors import ConflictError, MemrollError, RetryableError
from memroll.planning.rate_limit import PERIOD
from memroll.rolling.retention import expired, surplus

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from memroll.model.roll_record import RollRecord
    from memroll.rolling.protocols import PodRollStore

logger = logging.getLogger(__name__)

MAX_EXPIRED = 50
"""Maximum number of records that one resync deletes for their age, chosen by hand: 600 an hour, where the rate limit
permits 30 new ones by default."""
MAX_SURPLUS = 500
"""Maximum number of records that one resync deletes for their number, chosen by hand."""


def find_deletable(by_namespace: Iterable[Sequence[RollRecord]], now: datetime) -> list[RollRecord]:
    """Return the records to delete now. None of them still counts for the rate limit."""
    old: list[RollRecord] = []
    many: list[RollRecord] = []
    for rolls in by_namespace:
        many += [r for r in surplus(rolls) if now - r.created_at > PERIOD]
        old += expired(rolls, now)
    oldest = sorted(old, key=lambda r: r.created_at)[:MAX_EXPIRED]
    chosen = {r.uid: r for r in (*oldest, *sorted(many, key=lambda r: r.created_at)[:MAX_SURPLUS])}
    return list(chosen.values())


async def delete_expired(
    by_namespace: Iterable[Sequence[RollRecord]], store: PodRollStore, now: datetime, server_now: datetime | None
) -> int:
    """Delete records; return their number. An error is logged: the next resync deletes the rest."""
    if server_now is None:
        return 0
    deleted = 0
    for roll in find_deletable(by_namespace, min(now, server_now)):
        try:
            await store.delete_roll(roll.namespace, roll.name, roll.uid, roll.resource_version)
            deleted += 1
        except ConflictError:
            continue  # it has changed: the next resync checks it again
        except MemrollError as error:
            logger.warning("expired PodRoll %s/%s was not deleted: %s", roll.namespace, roll.name, error)
            if isinstance(error, RetryableError):
                break
    return deleted
