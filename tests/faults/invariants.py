"""Invariants that must hold after every case, checked in the proxy's request log and in the cluster."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.faults.fault_scenario import FINAL, is_owned

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.api_proxy import RequestRecord
    from tests.faults.api_server import Json
    from tests.faults.fault_scenario import FaultScenario

RELEASED = "memroll-released"
ANNOTATION_PREFIX = "memroll.dev/"


@dataclass
class FaultResult:
    """Result of a case: its measurements, and the violated invariants."""

    case: str
    measurements: dict[str, object] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)


def is_eviction(e: RequestRecord) -> bool:
    return e.method == "POST" and e.path.endswith("/eviction") and "dryRun" not in e.query


def is_release(e: RequestRecord) -> bool:
    return e.method == "PATCH" and RELEASED in (e.body.get("metadata", {}).get("labels") or {}).values()


def is_restore(e: RequestRecord) -> bool:
    changed = e.body.get("metadata", {}).get("labels") or {}
    return e.method == "PATCH" and bool(changed) and RELEASED not in changed.values()


def is_owner_patch(e: RequestRecord) -> bool:
    return e.method == "PATCH" and any(
        o.get("kind") == "PodRoll" for o in e.body.get("metadata", {}).get("ownerReferences") or []
    )


def is_status_write(phase: str, e: RequestRecord) -> bool:
    """Return whether a request writes this phase into a PodRoll's status."""
    is_roll_status = e.method == "PUT" and e.path.endswith("/status") and "/podrolls/" in e.path
    return is_roll_status and e.body.get("status", {}).get("phase") == phase


def is_evidence_write(e: RequestRecord) -> bool:
    """Return whether a request writes the evidence, before the next phase."""
    return is_status_write("CapturingEvidence", e) and "evidence" in e.body["status"]


def is_action(e: RequestRecord) -> bool:
    """Return whether a request writes to pods, PodRolls or workloads, which only a leader may do."""
    return e.is_write and ("/pods/" in e.path or "/podrolls" in e.path or "/apis/apps/" in e.path)


def evicted_uid(e: RequestRecord) -> str:
    return str(e.body.get("deleteOptions", {}).get("preconditions", {}).get("uid", ""))


def roll_of(e: RequestRecord) -> str:
    return str(e.body.get("metadata", {}).get("annotations", {}).get(f"{ANNOTATION_PREFIX}roll", ""))


def check_invariants(scenario: FaultScenario, case: str, apps: dict[str, int]) -> FaultResult:
    """Check all invariants; `apps`: number of pods that each workload must have at the end."""
    rolls = scenario.list_rolls()
    ended = Counter(r.get("status", {}).get("phase", "none") for r in rolls)
    succeeded = [e for e in scenario.proxy.find_writes() if e.succeeded]
    measurements: dict[str, object] = {
        "rolls": len(rolls),
        "ended": ", ".join(f"{n} {phase}" for phase, n in sorted(ended.items())),
        "evictions": sum(map(is_eviction, succeeded)),
        "releases": sum(map(is_release, succeeded)),
        "served": sum(load.served for load in scenario.loads),
        "failed requests": sum(len(load.failures) for load in scenario.loads),
    }
    errors = [
        *(f"{phase}: {n} rolls never ended" for phase, n in ended.items() if phase not in FINAL),
        *_find_repeated_actions(succeeded, rolls),
        *_find_orphaned_pods(scenario, apps),
        *_find_lost_pods(scenario, rolls),
        *(f"{load.url}: {failure}" for load in scenario.loads for failure in load.failures[:3]),
    ]
    return FaultResult(case, measurements, errors)


def _find_repeated_actions(succeeded: list[RequestRecord], rolls: list[Json]) -> Iterator[str]:
    """Find pods that two rolls evicted, rolls that evicted two pods, and pods released again without a restore."""
    uids, names = defaultdict(set), defaultdict(set)
    for e in filter(is_eviction, succeeded):
        uids[roll_of(e)].add(evicted_uid(e))
        names[evicted_uid(e)].add(roll_of(e))
    yield from (f"roll {name} evicted {len(found)} pods" for name, found in uids.items() if len(found) != 1)
    yield from (f"pod {uid} was evicted by {found}" for uid, found in names.items() if len(found) != 1)
    known = {r["metadata"]["name"]: r.get("status", {}).get("podUID") for r in rolls}
    yield from (f"roll {name} evicted a pod that is not its own" for name in uids if {known.get(name)} != uids[name])
    released = Counter(e.body["metadata"]["uid"] for e in succeeded if is_release(e))
    restored = Counter(e.body["metadata"]["uid"] for e in succeeded if is_restore(e))
    yield from (f"pod {u} was released {n} times" for u, n in released.items() if n > 1 + restored[u])


def _find_orphaned_pods(scenario: FaultScenario, apps: dict[str, int]) -> Iterator[str]:
    """Find pods with a label, annotation or owner that a roll has left, and workloads with missing or surplus pods."""
    pods = scenario.list_pods()
    for pod in pods:
        meta = pod["metadata"]
        annotations = [k for k in meta.get("annotations", {}) if k.startswith(ANNOTATION_PREFIX)]
        if annotations or RELEASED in meta["labels"].values() or not is_owned(pod):
            yield f"pod {meta['name']} is orphaned: {annotations} {meta['labels']}"
    count = Counter(p["metadata"]["labels"].get("app") for p in pods)
    yield from (f"{app} has {count[app]} pods, not {n}" for app, n in apps.items() if count[app] != n)


def _find_lost_pods(scenario: FaultScenario, rolls: list[Json]) -> Iterator[str]:
    """Find deleted pods without a roll, and rolled pods that exist or were rolled twice, if all rolls succeeded."""
    if any(r.get("status", {}).get("phase") != "Succeeded" for r in rolls):
        return
    rolled = [r["status"]["podUID"] for r in rolls]
    yield from (f"pod {uid} was rolled {n} times" for uid, n in Counter(rolled).items() if n > 1)
    for uid in scenario.deleted_uids - set(rolled):
        yield f"pod {uid} ({scenario.app_by_uid[uid]}) was deleted without a roll"
    yield from (f"pod {uid} was rolled, but still exists" for uid in set(rolled) - scenario.deleted_uids)
