"""What a policy learns of its ended rolls: which are old enough, the samples of both pods, the record of the answer.

Nothing here fails a pass. What could not be read or written is asked again at the next one.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

from memroll.api.pod_roll import Memory, Phase, PodRoll
from memroll.detection.assess import STEP_LEAST_S, STEPS_MOST, STEPS_PER_WINDOW, Prometheus, rule_of, subject_of
from memroll.detection.samples import Span
from memroll.detection.verdict import Code, Inconclusive
from memroll.errors import Conflict, MemrollError, NotFound
from memroll.rolling.effect import Ages, Pair, ages, compared, doubt, due_s, given_up
from memroll.rolling.retention import expired

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from memroll.detection.assessment import Assessment
    from memroll.detection.container_history import Rule, Subject
    from memroll.detection.samples import Reading, SeriesRow
    from memroll.reporting.outcome import Outcome

logger = logging.getLogger(__name__)

COMPARED_MOST = 4
"""Rolls that one pass learns of: at most two reads each."""


class Cluster(Protocol):
    """What learning needs of Kubernetes."""

    async def write_status(
        self, plural: str, namespace: str, name: str, resource_version: str, status: dict[str, Any]
    ) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Question:
    """One roll whose replacement has come to an age at which it is compared."""

    roll: PodRoll
    new: Assessment
    started: datetime
    """When the replacement's container began."""
    rule: Rule
    ages: Ages
    age_s: float

    def at_s(self, now_s: float) -> float:
        """Return the instant to read the replacement at: now, and its own only where that is long ago."""
        due_at_s = self.started.timestamp() + self.age_s
        return now_s if now_s - due_at_s <= self.rule.window_s else due_at_s

    def old_started_s(self) -> float | None:
        """Return when the old container began."""
        finding = self.roll.spec.finding
        return finding.container_started.timestamp() if finding and finding.container_started else None


Learnt = tuple[PodRoll, Memory]


async def learn(outcome: Outcome, cluster: Cluster, prometheus: Prometheus) -> Outcome:
    """Compare the replacements that have come of age, a few at a time, and write it into their PodRolls."""
    if outcome.trouble is not None or outcome.policy.spec.suspend:
        return outcome
    turn = tuple(islice(_turns(outcome), COMPARED_MOST))
    found = [t for t in turn if not isinstance(t, Question)]
    found += await _answers([t for t in turn if isinstance(t, Question)], outcome, prometheus)
    written = [w for roll, memory in found if (w := await _written(roll, memory, cluster)) is not None]
    changed = {w.uid: w for w in written}
    return replace(
        outcome,
        rolls=tuple(changed.get(r.uid, r) for r in outcome.rolls),
        learned=tuple(w for w in written if w.status.memory and w.status.memory.judged),
    )


def _turns(outcome: Outcome) -> Iterator[Question | Learnt]:
    """Yield what can be asked, or settled without asking: the newest roll of each workload first."""
    running = {(a.target.key.uid, a.container.name): a for a in outcome.assessments}
    rolled_by = {r.pod_uid: r.name for r in outcome.rolls}
    leaving = {r.uid for r in expired(outcome.rolls, outcome.now)}  # the pass has just dropped them
    for roll in _newest_of_each_first(r for r in outcome.rolls if _open(r) and r.uid not in leaving):
        finding, replaced = roll.spec.finding, roll.status.replacement
        new = running.get((replaced.uid, finding.container)) if finding and replaced else None
        by = rolled_by.get(replaced.uid, "") if replaced else ""
        why = doubt(roll, new.target if new else None, new.container if new else None, by)
        if why:
            yield roll, given_up(roll.status.memory, why, outcome.now)
        elif new is not None:
            question = _question(roll, new, outcome)
            if question is not None:
                yield question


def _open(roll: PodRoll) -> bool:
    memory = roll.status.memory
    return roll.status.phase is Phase.SUCCEEDED and (memory is None or memory.judged is None)


def _newest_of_each_first(rolls: Iterable[PodRoll]) -> list[PodRoll]:
    newest = sorted(rolls, key=lambda r: r.status.times.finished or r.created_at, reverse=True)
    seen: Counter[str] = Counter()
    ranked = []
    for roll in newest:
        workload = str(roll.status.workload)
        ranked.append((seen[workload], roll))
        seen[workload] += 1
    return [roll for _, roll in sorted(ranked, key=lambda pair: pair[0])]


def _question(roll: PodRoll, new: Assessment, outcome: Outcome) -> Question | None:
    """Return what to ask of this roll by now; None while its replacement is too young."""
    started = new.container.started_at
    if started is None:
        return None
    rule = rule_of(outcome.policy, new.container.limit_bytes)
    at = ages(rule, roll)
    age_s = due_s(at, roll.status.memory, (outcome.now - started).total_seconds())
    if age_s is None:
        return None
    unseen = isinstance(new.verdict, Inconclusive) and new.verdict.code is Code.NO_DATA
    if unseen and at.grown_s is not None and age_s < at.grown_s:
        return None  # this very pass found no samples: there may be some later
    return Question(roll, new, started, rule, at, age_s)


async def _answers(questions: Sequence[Question], outcome: Outcome, prometheus: Prometheus) -> list[Learnt]:
    """Read the replacements together, then each old pod as of the same age, and compare: as far as can be read."""
    found = []
    together: dict[float, list[Question]] = defaultdict(list)
    for question in questions:
        together[question.at_s(outcome.now.timestamp())].append(question)
    try:
        for at_s, group in together.items():
            back_s = max(at_s - q.started.timestamp() for q in group)
            reading = await _read(outcome, prometheus, [q.new.target.key.name for q in group], back_s, at_s)
            for question in group:
                memory = await _answer(question, reading, outcome, prometheus)
                if memory is not None and memory != question.roll.status.memory:
                    found.append((question.roll, memory))
    except MemrollError as trouble:
        logger.warning("policy %s/%s learns later: %s", outcome.policy.namespace, outcome.policy.name, trouble)
    return found


async def _answer(question: Question, reading: Reading, outcome: Outcome, prometheus: Prometheus) -> Memory | None:
    old = await _old(question, outcome, prometheus)
    pair = Pair(_new(question, reading), old, question.rule, question.ages, question.age_s)
    return compared(question.roll, pair, outcome.now)


async def _read(outcome: Outcome, prometheus: Prometheus, pods: Sequence[str], back_s: float, at_s: float) -> Reading:
    """Read the last `back_s` seconds before `at_s`, as finely as the detector reads."""
    policy = outcome.policy
    step_s = max(policy.spec.growth.window.total_seconds() / STEPS_PER_WINDOW, back_s / STEPS_MOST)
    span = Span(back_s, round(step_s, 3) if step_s >= STEP_LEAST_S else None)
    return await prometheus.read(policy.spec.prometheus, policy.namespace, pods, span, at_s)


def _new(question: Question, reading: Reading) -> Subject | None:
    target, container, started_s = question.new.target, question.new.container, question.started.timestamp()
    row = reading.row_for(target.key.name, container.name, container.id, started_s)
    return None if row is None else subject_of(row, started_s, container.limit_bytes)


async def _old(question: Question, outcome: Outcome, prometheus: Prometheus) -> Subject | None:
    """Return the old pod's life up to the age at which it is compared; None where Prometheus has none of it."""
    started_s, finding = question.old_started_s(), question.roll.spec.finding
    if started_s is None or finding is None:
        return None
    pod = question.roll.spec.pod_name
    reading = await _read(outcome, prometheus, [pod], question.age_s, started_s + question.age_s)
    row = _predecessor(reading, pod, finding.container, question.new.container.id)
    return None if row is None else subject_of(row, started_s, finding.limit_bytes)


def _predecessor(reading: Reading, pod: str, container: str, new_id: str) -> SeriesRow | None:
    """Return the row of the old container, whose ID nobody wrote down: the one that lived at the instant of the read.

    A StatefulSet's pods come back under their names: the replacement's own ID is never the old one, and what ran
    before the old one has older samples.
    """
    named = [r for r in reading.rows if (r.pod, r.container) == (pod, container)]
    return max((r for r in named if not r.container_id or r.container_id != new_id), key=_last_s, default=None)


def _last_s(row: SeriesRow) -> float:
    return row.last_s


async def _written(roll: PodRoll, memory: Memory, cluster: Cluster) -> PodRoll | None:
    """Write the memory into the roll's status; None when it was not written, and is asked for again."""
    status = roll.status.model_copy(update={"memory": memory}).on_the_wire()
    try:
        raw = await cluster.write_status("podrolls", roll.namespace, roll.name, roll.resource_version, status)
    except (Conflict, NotFound):
        return None  # someone else wrote or deleted the record: what stands there now is read with the next pass
    except MemrollError as trouble:
        logger.warning("PodRoll %s/%s: what it was worth is not written: %s", roll.namespace, roll.name, trouble)
        return None
    return PodRoll.read(raw)
