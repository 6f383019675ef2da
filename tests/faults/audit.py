"""What must hold after every case, whatever was done to the operator: read from the ledger and from the cluster."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.faults.stage import FINAL, is_owned

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.apiproxy import Exchange
    from tests.faults.server import Json
    from tests.faults.stage import Stage

RELEASED = "memroll-released"
MARK = "memroll.dev/"


@dataclass
class Result:
    """One case: what was counted, and what was wrong."""

    case: str
    figures: dict[str, object] = field(default_factory=dict)
    troubles: list[str] = field(default_factory=list)
    log: str = field(default="", repr=False)


def is_eviction(e: Exchange) -> bool:
    return e.method == "POST" and e.path.endswith("/eviction")


def is_release(e: Exchange) -> bool:
    return e.method == "PATCH" and RELEASED in (e.body.get("metadata", {}).get("labels") or {}).values()


def is_restore(e: Exchange) -> bool:
    changed = e.body.get("metadata", {}).get("labels") or {}
    return e.method == "PATCH" and bool(changed) and RELEASED not in changed.values()


def is_own(e: Exchange) -> bool:
    return e.method == "PATCH" and any(
        o.get("kind") == "PodRoll" for o in e.body.get("metadata", {}).get("ownerReferences") or []
    )


def is_status(phase: str, e: Exchange) -> bool:
    """Whether it writes this phase into a PodRoll's status."""
    wanted = e.method == "PUT" and e.path.endswith("/status") and "/podrolls/" in e.path
    return wanted and e.body.get("status", {}).get("phase") == phase


def is_evidence(e: Exchange) -> bool:
    """Whether it writes what was captured, while the roll is in no later phase yet."""
    return is_status("CapturingEvidence", e) and "evidence" in e.body["status"]


def is_act(e: Exchange) -> bool:
    """Whether it is a write on pods, PodRolls or what owns pods: what only a leader may send."""
    return e.is_write and ("/pods/" in e.path or "/podrolls" in e.path or "/apis/apps/" in e.path)


def evicted_uid(e: Exchange) -> str:
    return str(e.body.get("deleteOptions", {}).get("preconditions", {}).get("uid", ""))


def roll_of(e: Exchange) -> str:
    return str(e.body.get("metadata", {}).get("annotations", {}).get(f"{MARK}roll", ""))


def audited(stage: Stage, case: str, apps: dict[str, int]) -> Result:
    """Check what must hold always; `apps`: how many pods each workload must have in the end."""
    rolls = stage.rolls()
    ended = Counter(r.get("status", {}).get("phase", "none") for r in rolls)
    done = [e for e in stage.proxy.writes() if e.done]
    figures: dict[str, object] = {
        "rolls": len(rolls),
        "ended": ", ".join(f"{n} {phase}" for phase, n in sorted(ended.items())),
        "evictions": sum(map(is_eviction, done)),
        "releases": sum(map(is_release, done)),
        "served": sum(load.served for load in stage.loads),
        "failed requests": sum(len(load.failures) for load in stage.loads),
    }
    troubles = [
        *(f"{phase}: {n} rolls never ended" for phase, n in ended.items() if phase not in FINAL),
        *_acted_twice(done, rolls),
        *_strays(stage, apps),
        *_pods_lost(stage, rolls),
        *(f"{load.url}: {failure}" for load in stage.loads for failure in load.failures[:3]),
    ]
    return Result(case, figures, troubles)


def _acted_twice(done: list[Exchange], rolls: list[Json]) -> Iterator[str]:
    """No pod is released or evicted by two rolls, no roll touches two pods, none is released again unless put back."""
    uids, names = defaultdict(set), defaultdict(set)
    for e in filter(is_eviction, done):
        uids[roll_of(e)].add(evicted_uid(e))
        names[evicted_uid(e)].add(roll_of(e))
    yield from (f"roll {name} evicted {len(found)} pods" for name, found in uids.items() if len(found) != 1)
    yield from (f"pod {uid} was evicted by {found}" for uid, found in names.items() if len(found) != 1)
    known = {r["metadata"]["name"]: r.get("status", {}).get("podUID") for r in rolls}
    yield from (f"roll {name} evicted a pod that is not its own" for name in uids if {known.get(name)} != uids[name])
    released = Counter(e.body["metadata"]["uid"] for e in done if is_release(e))
    restored = Counter(e.body["metadata"]["uid"] for e in done if is_restore(e))
    yield from (f"pod {u} was released {n} times" for u, n in released.items() if n > 1 + restored[u])


def _strays(stage: Stage, apps: dict[str, int]) -> Iterator[str]:
    """Nothing of a roll is left on any pod, and each workload has its pods, no more."""
    pods = stage.pods()
    for pod in pods:
        meta = pod["metadata"]
        marks = [k for k in meta.get("annotations", {}) if k.startswith(MARK)]
        if marks or RELEASED in meta["labels"].values() or not is_owned(pod):
            yield f"pod {meta['name']} is a stray: {marks} {meta['labels']}"
    count = Counter(p["metadata"]["labels"].get("app") for p in pods)
    yield from (f"{app} has {count[app]} pods, not {wanted}" for app, wanted in apps.items() if count[app] != wanted)


def _pods_lost(stage: Stage, rolls: list[Json]) -> Iterator[str]:
    """Where all rolls succeeded, exactly their pods are gone: nothing else was deleted, no newcomer was wasted."""
    if any(r.get("status", {}).get("phase") != "Succeeded" for r in rolls):
        return
    rolled = [r["status"]["podUID"] for r in rolls]
    yield from (f"pod {uid} was rolled {n} times" for uid, n in Counter(rolled).items() if n > 1)
    yield from (f"pod {uid} ({stage.born[uid]}) went without a roll" for uid in stage.gone - set(rolled))
    yield from (f"pod {uid} was rolled, but is there" for uid in set(rolled) - stage.gone)
