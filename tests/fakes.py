"""A cluster of one Deployment in memory: its ReplicaSet, its budget, its API server's preconditions.

The real thing is tested in tests/e2e; this one can be stopped between any two writes, which the real one can't.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from memroll.api.pod_roll import Detachment
from memroll.detection.prefilter import slopes_at
from memroll.detection.samples import Reading, Screening, ScreenRow, SeriesRow
from memroll.errors import Conflict, NotFound
from memroll.model.pods import (
    DETACHED_VALUE,
    HASH_ANNOTATION,
    OWNER_ANNOTATION,
    RELEASED_HASH,
    ROLL_ANNOTATION,
    ObjectRef,
    PodKey,
)
from memroll.rolling.eviction import Eviction, EvictionAnswer
from tests.builders import LIMIT, at, container, pod, workload

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from memroll.detection.samples import PodPattern, Span
    from memroll.detection.series import Series
    from memroll.model.annotations import Owners
    from memroll.model.pods import Target, Workload

HASH = "5d"


class Killed(BaseException):
    """The process dies here. Not an Exception: nothing of ours may catch it."""


class FakeCluster:
    """`writes_left`: the process is killed right after so many writes (None: never)."""

    def __init__(
        self,
        replicas: int = 1,
        *,
        newcomers_ready: bool = True,
        budget_allows: bool = True,
        name: tuple[str, str] = ("demo", "leaky"),
        limit_bytes: int = LIMIT,
    ) -> None:
        self.namespace, self.app = name
        self.limit_bytes = limit_bytes
        self.pods: dict[str, Target] = {}
        self.policies_json: dict[str, dict[str, Any]] = {}
        self.asked_for: list[str] = []
        """The selectors by which pods were asked for."""
        self.rolls_json: dict[str, dict[str, Any]] = {}
        self.owners: dict[str, str] = {}
        self.changes: dict[str, Any] = {}
        """What is special about the workload."""
        self.selected_by = ""
        """What selects the pods by their template hash."""
        self.detached: dict[str, dict[str, str]] = {}
        self.log: tuple[str, ...] | Exception = ("started", "served password=hunter2")
        self.desired = replicas
        self.newcomers_ready = newcomers_ready
        self.budget_allows = budget_allows
        self.evicted: list[str] = []
        self.writes: list[str] = []
        self.writes_left: int | None = None
        self.least_ready = replicas
        self.seconds = 0.0
        self._made = 0
        for _ in range(replicas):
            self._create(ready=True)

    # what the controllers of a real cluster do

    def settle(self) -> None:
        """Let the ReplicaSet and the kubelet do one round each."""
        self.seconds += 1
        for name, p in list(self.pods.items()):
            if p.deleting:
                del self.pods[name]
        self._adopt_and_release()
        owned = [p for p in self.pods.values() if p.controller is not None and not p.deleting]
        for _ in range(self.desired - len(owned)):
            self._create(ready=False)
        surplus = sorted(owned, key=lambda p: (p.ready, -p.created_at.timestamp()))[: max(0, len(owned) - self.desired)]
        for p in surplus:
            self.pods[p.key.name] = replace(p, deleting=True, ready=False)
        for name, p in self.pods.items():
            if not p.ready and not p.deleting and self.newcomers_ready and p.created_at < at(self.seconds):
                self.pods[name] = replace(p, ready=True, phase="Running")
        self._watch_readiness()

    def _adopt_and_release(self) -> None:
        for name, p in self.pods.items():
            matches = p.labels.get("pod-template-hash") == HASH
            if p.controller is None and matches:
                self.pods[name] = replace(p, controller=self._workload().controller)
            if p.controller is not None and not matches:
                self.pods[name] = replace(p, controller=None)

    def _create(self, *, ready: bool) -> None:
        self._made += 1
        name = f"{self.app}-{self._made}"
        made = pod(
            name,
            created_at=at(self.seconds) if self.seconds else at(-185),
            ready=ready,
            phase="Running" if ready else "Pending",
            controller=self._workload().controller,
            labels={"app": self.app, "pod-template-hash": HASH},
            containers=(container(id=f"id-{name}", limit_bytes=self.limit_bytes),),
        )
        if self.namespace != "demo":
            made = replace(made, key=PodKey(self.namespace, name, f"uid-{self.namespace}-{name}"))
        self.pods[name] = made

    def _workload(self) -> Workload:
        if self.namespace == "demo":
            return workload(desired=self.desired, replicas=self.desired, **self.changes)
        top = ObjectRef("apps/v1", "Deployment", self.app, f"deploy-{self.namespace}-{self.app}")
        controller = ObjectRef("apps/v1", "ReplicaSet", f"{self.app}-{HASH}", f"rs-{self.namespace}-{self.app}")
        return workload(
            top=top, controller=controller, desired=self.desired, replicas=self.desired,
            selector=f"app={self.app}", family=frozenset({controller.uid}),
        )  # fmt: skip

    def _watch_readiness(self) -> None:
        ready = sum(1 for p in self.pods.values() if p.ready and not p.deleting)
        self.least_ready = min(self.least_ready, ready)

    def _write(self, what: str) -> None:
        """Count a write that has been carried out; the process may die right after it."""
        self.writes.append(what)
        if self.writes_left is not None:
            self.writes_left -= 1
            if self.writes_left < 0:
                self.writes_left = None
                raise Killed(what)

    def _changed(self, target: Target, **changes: Any) -> None:
        known = self.pods.get(target.key.name)
        if known is None or known.key.uid != target.key.uid:
            raise NotFound("NotFound", target.key.name)
        if known.resource_version != target.resource_version and known != target:
            raise Conflict("Conflict", target.key.name)
        version = str(int(known.resource_version) + 1)
        self.pods[target.key.name] = replace(known, resource_version=version, **changes)

    # the ports

    async def selector_of(self, namespace: str, api_version: str, kind: str, name: str) -> str:
        return f"app={name}"

    async def targets(self, namespace: str, selector: str) -> tuple[Target, ...]:
        self.asked_for.append(selector)
        return tuple(self.pods.values())

    async def pod(self, namespace: str, name: str) -> Target | None:
        return self.pods.get(name)

    async def workload_of(self, namespace: str, controller: ObjectRef, top: ObjectRef | None = None) -> Workload | None:
        return self._workload()

    async def hash_selected_by(self, target: Target, hash_label: str) -> str:
        assert hash_label == "pod-template-hash"
        return self.selected_by

    async def detachment(self, target: Target) -> Detachment:
        return Detachment(labels={"app": target.labels["app"]})

    async def owned_pods(self, found: Workload, namespace: str) -> tuple[Target, ...]:
        return tuple(p for p in self.pods.values() if p.controller is not None)

    async def namespace_annotations(self, namespace: str) -> dict[str, str]:
        return {}

    async def policy(self, namespace: str, name: str) -> dict[str, Any] | None:
        return self.policies_json.get(name)

    async def policies(self, namespaces: Sequence[str]) -> tuple[dict[str, Any], ...]:
        return tuple(self.policies_json.values())

    async def rolls(self, namespace: str) -> tuple[dict[str, Any], ...]:
        return tuple(self.rolls_json.values())

    async def roll(self, namespace: str, name: str) -> dict[str, Any] | None:
        return self.rolls_json.get(name)

    async def create_roll(self, namespace: str, manifest: dict[str, Any]) -> dict[str, Any]:
        name = manifest["metadata"]["name"]
        if name in self.rolls_json:
            raise Conflict("Conflict", name)
        stamp = at(self.seconds).strftime("%Y-%m-%dT%H:%M:%SZ")
        uid = f"uid-{name}" if namespace == "demo" else f"uid-{namespace}-{name}"
        meta = manifest["metadata"] | {"uid": uid, "resourceVersion": "1", "creationTimestamp": stamp}
        self.rolls_json[name] = manifest | {"metadata": meta, "status": {}}
        self._write(f"create {name}")
        return self.rolls_json[name]

    async def delete_roll(self, namespace: str, name: str, uid: str) -> None:
        self.rolls_json.pop(name, None)
        self._write(f"delete {name}")

    async def write_status(
        self, plural: str, namespace: str, name: str, resource_version: str, status: dict[str, Any]
    ) -> dict[str, Any]:
        store = self.rolls_json if plural == "podrolls" else self.policies_json
        raw = store.get(name)
        if raw is None:
            raise NotFound("NotFound", name)
        if raw["metadata"]["resourceVersion"] != resource_version:
            raise Conflict("Conflict", name)
        version = str(int(resource_version) + 1)
        store[name] = raw | {"metadata": raw["metadata"] | {"resourceVersion": version}, "status": status}
        self._write(f"status {name} {status.get('phase', '')}")
        return store[name]

    async def release(self, target: Target, hash_label: str, roll_name: str, owners: Owners) -> None:
        if target.labels.get(hash_label) == RELEASED_HASH:
            return
        old = target.labels[hash_label]
        marks = {ROLL_ANNOTATION: roll_name, HASH_ANNOTATION: old, OWNER_ANNOTATION: owners.written()}
        self._changed(target, labels={**target.labels, hash_label: RELEASED_HASH}, annotations=marks)
        self._write(f"release {target.key.name}")

    async def restore(self, target: Target, hash_label: str) -> None:
        known = self.pods[target.key.name]
        if known.labels[hash_label] != RELEASED_HASH:
            return
        self.owners.pop(target.key.uid, None)
        back = self.detached.pop(target.key.uid, {}) | {hash_label: known.annotations[HASH_ANNOTATION]}
        self._changed(known, labels={**known.labels, **back}, annotations={})
        self._write(f"restore {target.key.name}")

    async def detach(self, target: Target, labels: Mapping[str, str]) -> None:
        known = self.pods[target.key.name]
        assert RELEASED_HASH in known.labels.values(), "only a released pod is detached"
        self.detached[target.key.uid] = dict(labels)
        self._changed(known, labels={**known.labels, **dict.fromkeys(labels, DETACHED_VALUE)})
        self._write(f"detach {target.key.name}")

    async def restart(self, namespace: str, top: ObjectRef, at: datetime) -> None:
        self._write(f"restart {top.name}")

    async def own(self, target: Target, roll_name: str, roll_uid: str) -> None:
        self.owners[target.key.uid] = roll_uid
        self._write(f"own {target.key.name}")

    async def evict(self, target: Target, roll_name: str = "") -> EvictionAnswer:
        known = self.pods.get(target.key.name)
        if known is None or known.key.uid != target.key.uid:
            return EvictionAnswer(Eviction.GONE, "gone")
        if known.deleting:
            return EvictionAnswer(Eviction.ACCEPTED, "terminating")
        if not self.budget_allows:
            return EvictionAnswer(Eviction.BLOCKED, "the budget allows none now")
        self.evicted.append(target.key.uid)
        self.pods[known.key.name] = replace(known, deleting=True, ready=False)
        self._watch_readiness()
        self._write(f"evict {target.key.name}")
        return EvictionAnswer(Eviction.ACCEPTED, "accepted")

    async def logs(
        self, pod: PodKey, container: str, lines: int, timeout_s: float, *, previous: bool = False
    ) -> tuple[str, ...]:
        if isinstance(self.log, Exception):
            raise self.log
        return () if previous else self.log[-lines:]

    async def released_pods(self, namespace: str | None = None) -> tuple[Target, ...]:
        return tuple(p for p in self.pods.values() if RELEASED_HASH in p.labels.values())


class FakePrometheus:
    """Answers with one series for every container whose ID is given, or raises."""

    def __init__(self, by_container: dict[str, Series], error: Exception | None = None) -> None:
        self.by_container = by_container
        self.error = error
        self.busy: float | None = None
        self.asked: list[tuple[str, str, tuple[str, ...], float]] = []
        self.screened: list[tuple[str, str, tuple[str, ...]]] = []

    def _held(self, pods: Sequence[str]) -> Iterator[tuple[str, Series]]:
        if self.error is not None:
            raise self.error
        return ((n, s) for n in pods if (s := self.by_container.get(f"id-{n}")) is not None)

    async def screen(
        self, connection: str, namespace: str, pods: Sequence[str], windows_s: Sequence[float], at_s: float
    ) -> Screening:
        """Answer as a server would: least squares over each window, and the newest samples."""
        self.screened.append((connection, namespace, tuple(pods)))
        rows = tuple(_screen_row(name, s, windows_s, at_s) for name, s in self._held(pods))
        return Screening(rows, tuple(windows_s), at_s)

    async def in_flight(self, connection: str, namespace: str, pod: str, metric: str, since_s: float) -> float | None:
        return self.busy

    async def read(
        self,
        connection: str,
        namespace: str,
        pods: Sequence[str],
        span: Span,
        at_s: float,
        like: Sequence[PodPattern] = (),
        *,
        load_metric: str | None = None,
    ) -> Reading:
        self.asked.append((connection, namespace, tuple(pods), span.lookback_s))
        rows = tuple(SeriesRow(name, "app", f"id-{name}", s, s) for name, s in self._held(pods))
        return Reading(rows, at_s)


def _screen_row(name: str, series: Series, windows_s: Sequence[float], at_s: float) -> ScreenRow:
    found = [float(slopes_at(series, w, np.array([at_s]))[0]) for w in windows_s]
    slopes = tuple(None if np.isnan(s) else s for s in found)
    series = series.until(at_s)
    held = float(series.values[-1]) if len(series) else None
    return ScreenRow(name, "app", f"id-{name}", slopes, len(series), held, held, series.last_s)


class Log:
    """A recorder that remembers what was published."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def publish(self, events: Any) -> None:
        self.events += list(events)

    def reasons(self, kind: str) -> list[str]:
        return [e.reason.value for e in self.events if e.regarding.kind == kind]


def key(name: str) -> PodKey:
    return PodKey("demo", name, f"uid-{name}")
