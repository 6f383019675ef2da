"""Which pods are read at once: those of one workload together, and never too many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from memroll.detection.samples import PodPattern

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from memroll.model.pods import Target

BATCH_PODS = 100
SIBLINGS_MOST = 30
FAMILY_WITH_PAST_MOST = 100
"""Earlier pods are asked for by a pattern, and nobody knows how many match it: not for larger workloads."""


@dataclass(frozen=True, slots=True)
class Family:
    """The pods of one workload, told by the name of their controller alone."""

    kind: str
    name: str

    @property
    def pattern(self) -> PodPattern | None:
        """The names of its pods, where they are generated; those of a StatefulSet come back under the same names."""
        parts = {"Deployment": 2, "ReplicaSet": 1, "DaemonSet": 1}.get(self.kind)
        return PodPattern(self.name, parts) if parts else None


def family_of(target: Target) -> Family | None:
    """Return the workload's family; a ReplicaSet with a template hash in its name is taken for its Deployment's."""
    ref = target.controller
    if ref is None:
        return None
    base, _, suffix = ref.name.rpartition("-")
    hashes = {v for k, v in target.labels.items() if k.endswith("pod-template-hash")}
    if ref.kind == "ReplicaSet" and base and suffix in hashes:
        return Family("Deployment", base)
    return Family(ref.kind, ref.name)


def by_family(targets: Iterable[Target]) -> dict[Family | None, list[Target]]:
    families: dict[Family | None, list[Target]] = {}
    for target in targets:
        families.setdefault(family_of(target), []).append(target)
    return families


@dataclass(frozen=True, slots=True)
class Batch:
    """What is read at once: some suspected pods, their siblings, and the names that their earlier pods had."""

    suspects: frozenset[str]
    """By uid."""
    pods: tuple[str, ...]
    like: tuple[PodPattern, ...] = ()

    def and_(self, other: Batch) -> Batch:
        return Batch(self.suspects | other.suspects, self.pods + other.pods, self.like + other.like)


NOTHING = Batch(frozenset(), ())


def batches(targets: Sequence[Target], suspects: set[str]) -> Iterator[Batch]:
    """Split what is read so that memory is bounded however many pods are suspected at once."""
    gathered = NOTHING
    for family, members in by_family(targets).items():
        for piece in _pieces(family, members, suspects):
            if len(gathered.pods) + len(piece.pods) > BATCH_PODS:
                if gathered.pods:
                    yield gathered
                gathered = NOTHING
            gathered = gathered.and_(piece)
    if gathered.pods:
        yield gathered


def _pieces(family: Family | None, members: Sequence[Target], suspects: set[str]) -> Iterator[Batch]:
    """Return the suspects of one workload, each piece with the same siblings."""
    mine = [t for t in members if t.key.uid in suspects]
    others = [] if family is None else _spread([t for t in members if t.key.uid not in suspects], SIBLINGS_MOST)
    like = (family.pattern,) if family and family.pattern and len(members) <= FAMILY_WITH_PAST_MOST else ()
    for i in range(0, len(mine), BATCH_PODS - SIBLINGS_MOST):
        chunk = mine[i : i + BATCH_PODS - SIBLINGS_MOST]
        names = tuple(t.key.name for t in (*chunk, *others))
        yield Batch(frozenset(t.key.uid for t in chunk), names, like)


def _spread(targets: Sequence[Target], most: int) -> Sequence[Target]:
    """Return at most so many, of all ages: age against clock needs old ones and young ones."""
    by_age = sorted(targets, key=lambda t: t.created_at)
    if len(by_age) <= most:
        return by_age
    return [by_age[round(i * (len(by_age) - 1) / (most - 1))] for i in range(most)]
