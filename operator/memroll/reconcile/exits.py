"""Read the memory usage at the exits of containers that were restarted in place, for the suggested limits.

The Outcome of a reconcile goes in, and comes out with the measured exits; `controller.policy_controller` calls it. Only
an exit that is not yet in the policy's status costs a query: a healthy container costs nothing. No failure here fails
the reconcile: the exit is read in the next one.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from memroll.api.base import MAX_REFERENCE_CHARS, MAX_UID_CHARS
from memroll.api.evidence import MAX_NUMBER
from memroll.api.limit_suggestion import ObservedExit
from memroll.detection.parameters import MAX_LONG_LOOKBACK_S
from memroll.detection.samples import ReadRequest, SampleRange
from memroll.errors import MemrollError
from memroll.reporting.limit_suggestions import exit_key, is_included
from memroll.reporting.outcome import ExitKey, MeasuredExit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memroll.detection.assess import SampleReader
    from memroll.detection.samples import SeriesRow
    from memroll.detection.series import Series
    from memroll.model.pods import ContainerExit, Pod
    from memroll.reporting.outcome import Outcome

logger = logging.getLogger(__name__)

MAX_READ = 4
"""Maximum number of exits that are read in one reconcile, chosen by hand: each takes a query of one container."""
SETTLE_S = 60.0
"""Time in seconds after an exit before it is read, chosen by hand: the last scrape must be in the store."""
MAX_SAMPLE_AGE_S = 300.0
"""Maximum time in seconds between the last sample and the exit, as Prometheus' own lookback."""
MIN_GROWTH_RATIO = 1.25
"""Minimum ratio of the usage at the exit to the lowest one after the warm-up, chosen by hand: the memory of a container
that is always as high explains no exit."""
MAX_BELOW_PEAK = 0.9
"""Minimum ratio of the usage at the exit to the highest one of the instance, chosen by hand: one that was higher before
did not die of its memory."""


@dataclass(frozen=True, slots=True)
class _Exit:
    pod: Pod
    container: str
    key: ExitKey
    ended: ContainerExit


async def measure_exits(outcome: Outcome, samples: SampleReader) -> Outcome:
    """Read the usage at a few exits that the policy's status does not contain yet, the newest first."""
    if outcome.error is not None or outcome.policy.spec.suspend:
        return outcome
    pending = sorted(_pending(outcome), key=lambda e: e.ended.finished_at, reverse=True)[:MAX_READ]
    measured, policy = [], outcome.policy
    for found in pending:
        try:
            measured.append(MeasuredExit(found.key, await _measure(found, outcome, samples)))
        except MemrollError as error:
            logger.warning("policy %s/%s: exits are read later: %s", policy.namespace, policy.name, error)
            break
        except Exception:
            logger.exception(
                "bug: the exit of a container of pod %s/%s was not read", policy.namespace, found.pod.key.name
            )
    return replace(outcome, measured_exits=tuple(measured))


def _pending(outcome: Outcome) -> Iterator[_Exit]:
    """Yield the exits to read: after the warm-up, because one before it has other causes, and not too old."""
    warm_up_s = outcome.policy.spec.growth.warm_up.total_seconds()
    for a in outcome.assessments:
        ended, key = a.container.last_exit, exit_key(a.pod, a.container)
        if ended is None or ended.lifetime_s <= warm_up_s or a.pod.released or len(key[0]) > MAX_REFERENCE_CHARS:
            continue
        age_s = (outcome.now - ended.finished_at).total_seconds()
        if SETTLE_S <= age_s <= MAX_LONG_LOOKBACK_S and not is_included(outcome.policy.status.exits, key, a.pod, ended):
            yield _Exit(a.pod, a.container.name, key, ended)


async def _measure(found: _Exit, outcome: Outcome, samples: SampleReader) -> ObservedExit:
    policy, ended, pod = outcome.policy, found.ended, found.pod.key
    at_s = ended.finished_at.timestamp()
    span = SampleRange.for_window(min(ended.lifetime_s, MAX_LONG_LOOKBACK_S), policy.spec.growth.window.total_seconds())
    result = await samples.read(policy.spec.prometheus, ReadRequest(policy.namespace, (pod.name,), span, at_s))
    row = result.row_for(pod.name, found.container, ended.id, ended.started_at.timestamp())
    usage, grew = _usage(row, ended, policy.spec.growth.warm_up.total_seconds())
    observed = ObservedExit(uid=pod.uid[:MAX_UID_CHARS], time=ended.finished_at, usage_bytes=usage, grew=grew)
    logger.debug("container %s of pod %s/%s exited at %s bytes", found.container, pod.namespace, pod.name, usage)
    return observed


def _usage(row: SeriesRow | None, ended: ContainerExit, warm_up_s: float) -> tuple[int | None, bool]:
    """Return the last usage before an exit, or None, and whether memory had grown up to it."""
    started_s, finished_s = ended.started_at.timestamp(), ended.finished_at.timestamp()
    used = None if row is None else row.working_set.between(started_s, finished_s)
    if used is None or used.last_s < finished_s - MAX_SAMPLE_AGE_S:
        return None, False
    usage = float(used.values[-1])
    return min(max(int(usage), 0), MAX_NUMBER), _grew(used, usage, started_s + warm_up_s)


def _grew(used: Series, usage: float, warm_s: float) -> bool:
    warm = used.between(warm_s, float("inf"))
    if not len(warm):
        return False
    is_highest = usage >= MAX_BELOW_PEAK * float(warm.values.max())
    return is_highest and usage >= MIN_GROWTH_RATIO * float(warm.values.min())
