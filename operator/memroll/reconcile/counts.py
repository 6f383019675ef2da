"""What plans are counted from: the PodRolls as they stand now, and the pods that are well."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from memroll.api.pod_roll import PodRoll
from memroll.detection.verdict import Healthy, Told, told
from memroll.planning.rate_limit import Tally, tally

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from memroll.api.policy import MemoryPolicy
    from memroll.detection.assessment import Assessment
    from memroll.reconcile.snapshot import Cluster, Scene


async def count(scene: Scene, cluster: Cluster) -> tuple[tuple[PodRoll, ...], Tally]:
    """Return the PodRolls of the policy's namespace, and those of all namespaces counted for the guard."""
    own = scene.policy.namespace
    namespaces = sorted({*scene.namespaces, own}) if scene.namespaces else [""]
    raws = [raw for namespace in namespaces for raw in await cluster.rolls(namespace)]
    here = _readable(raw for raw in raws if raw["metadata"]["namespace"] == own)
    made = ((raw["metadata"]["namespace"], _made_at(raw, scene.now)) for raw in raws)
    return tuple(here), tally(made, own, scene.now)


def healthy(policy: MemoryPolicy, assessments: Iterable[Assessment], now: datetime) -> frozenset[str]:
    """Return the uids of the pods all of whose watched containers are past their warm-up and healthy."""
    seen: dict[str, bool] = {}
    for a in assessments:
        started = a.container.started_at
        old_enough = started is not None and now - started >= policy.spec.growth.warm_up
        well = old_enough and isinstance(a.verdict, Healthy) and told(a.verdict) is Told.NOTHING
        seen[a.target.key.uid] = seen.get(a.target.key.uid, True) and well
    return frozenset(uid for uid, well in seen.items() if well)


def watched_pods(scene: Scene, own: int) -> int:
    """Return how many pods of the namespace are watched: the policy's own, and what the others said last."""
    return own + sum(other.status.pods.total for other in scene.others)


def _readable(raws: Iterable[dict[str, Any]]) -> Iterator[PodRoll]:
    for raw in raws:
        try:
            yield PodRoll.read(raw)
        except ValidationError:
            continue  # said in the log when the pass began


def _made_at(raw: dict[str, Any], now: datetime) -> datetime:
    """Return when a PodRoll was made; one that does not say so counts as new."""
    try:
        made = datetime.fromisoformat(raw["metadata"]["creationTimestamp"])
    except (KeyError, TypeError, ValueError):
        return now
    return made if made.tzinfo else now
