"""Fakes of the clients: a cluster with one Deployment in memory, a Prometheus, and an event recorder.

The fake cluster can kill the process between any two writes, which the real cluster of tests/e2e can't.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from memroll.api import ROLL_PLURAL
from memroll.api.pod_roll import Detachment
from memroll.clients.kube.custom_resources import ObjectVersion
from memroll.detection.extremes import Extremes, ExtremesRow
from memroll.detection.long_history import step_extremes
from memroll.detection.prefilter import window_slopes
from memroll.detection.samples import NO_SLOW_BINS, PrefilterResult, PrefilterRow, QueryResult, SeriesRow
from memroll.errors import ConflictError, NotFoundError, TerminalError
from memroll.model.pod_selection import PodSelection
from memroll.model.pods import (
    DETACHED_VALUE,
    HASH_ANNOTATION,
    OWNER_ANNOTATION,
    RELEASED_HASH,
    ROLL_ANNOTATION,
    ObjectRef,
    PodKey,
)
from memroll.model.target import TargetControllers
from memroll.rolling.eviction_response import EvictionResponse, EvictionResult
from tests.builders import LIMIT, at, container, pod, workload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
    from datetime import datetime

    from memroll.detection.extremes import ExtremesRequest
    from memroll.detection.samples import ReadRequest, SlowBins
    from memroll.detection.series import Series
    from memroll.model.annotations import RecordedOwners
    from memroll.model.autoscalers import Autoscaler
    from memroll.model.pods import Pod, Workload

HASH = "5d"


class ProcessKilled(BaseException):
    """The process was killed. Not an Exception, so that no `except Exception` catches it."""


class FakeCluster:
    """Cluster with one Deployment, its ReplicaSet, and the API server's preconditions.

    `writes_left`: number of writes after which the process is killed; None: never.
    """

    def __init__(
        self,
        replicas: int = 1,
        *,
        replacements_ready: bool = True,
        budget_allows: bool = True,
        name: tuple[str, str] = ("demo", "leaky"),
        limit_bytes: int = LIMIT,
    ) -> None:
        self.namespace, self.app = name
        self.limit_bytes = limit_bytes
        self.pods: dict[str, Pod] = {}
        self.policies_json: dict[str, dict[str, Any]] = {}
        self.queried_selectors: list[str] = []
        """Selectors of the requests for pods."""
        self.resolved_targets: list[str] = []
        """Workloads that were resolved."""
        self.server_time: datetime | None = None
        """Time of the API server; None: the cluster's own."""
        self.rolls_json: dict[str, dict[str, Any]] = {}
        self.owners: dict[str, str] = {}
        self.workload_changes: dict[str, Any] = {}
        """Changes of the workload from the default of `tests.builders.workload`."""
        self.hash_selected_by = ""
        """Reason for which the template hash must not change; empty: none."""
        self.missing_room = ""
        """Reason for which a second copy of a pod can't be scheduled; empty: none."""
        self.room_checks = 0
        self.node_memory: dict[str, int] = {}
        """Allocatable bytes of the nodes, by name."""
        self.autoscalers: tuple[Autoscaler, ...] | None = ()
        self.autoscaler_reads = 0
        self.detached: dict[str, dict[str, str]] = {}
        self.pod_log: tuple[str, ...] | Exception = ("started", "served password=hunter2")
        self.desired = replicas
        self.replacements_ready = replacements_ready
        self.budget_allows = budget_allows
        self.never_evictable = ""
        self.dry_run_error = ""
        """Error of each dry run of an eviction; empty: they are answered."""
        self.evicted: list[str] = []
        self.writes: list[str] = []
        self.writes_left: int | None = None
        self.min_ready = replicas
        self.seconds = 0.0
        self._created_pods = 0
        for _ in range(replicas):
            self._create(ready=True)

    # Work of the controllers.

    def settle(self) -> None:
        """Run one round of the ReplicaSet controller and the kubelet."""
        self.seconds += 1
        for name, p in list(self.pods.items()):
            if p.deleting:
                del self.pods[name]
        self._adopt_and_release()
        owned = [p for p in self.pods.values() if p.controller is not None and not p.deleting and not p.has_ended]
        for _ in range(self.desired - len(owned)):
            self._create(ready=False)
        surplus = sorted(owned, key=lambda p: (p.ready, -p.created_at.timestamp()))[: max(0, len(owned) - self.desired)]
        for p in surplus:
            self.pods[p.key.name] = replace(p, deleting=True, ready=False)
        for name, p in self.pods.items():
            is_starting = not (p.ready or p.deleting or p.has_ended)
            if is_starting and self.replacements_ready and p.created_at < at(self.seconds):
                self.pods[name] = replace(p, ready=True, phase="Running")
        self._record_readiness()

    def _adopt_and_release(self) -> None:
        for name, p in self.pods.items():
            matches = p.labels.get("pod-template-hash") == HASH
            if p.controller is None and matches and not p.has_ended:
                self.pods[name] = replace(p, controller=self._workload().controller)
            if p.controller is not None and not matches:
                self.pods[name] = replace(p, controller=None)

    def _create(self, *, ready: bool) -> None:
        self._created_pods += 1
        name = f"{self.app}-{self._created_pods}"
        created = pod(
            name,
            created_at=at(self.seconds) if self.seconds else at(-185),
            ready=ready,
            phase="Running" if ready else "Pending",
            controller=self._workload().controller,
            labels={"app": self.app, "pod-template-hash": HASH},
            containers=(container(id=f"id-{name}", limit_bytes=self.limit_bytes),),
        )
        if self.namespace != "demo":
            created = replace(created, key=PodKey(self.namespace, name, f"uid-{self.namespace}-{name}"))
        self.pods[name] = created

    def _workload(self) -> Workload:
        if self.namespace == "demo":
            return workload(controller_replicas=self.desired, replicas=self.desired, **self.workload_changes)
        owner = ObjectRef("apps/v1", "Deployment", self.app, f"deploy-{self.namespace}-{self.app}")
        controller = ObjectRef("apps/v1", "ReplicaSet", f"{self.app}-{HASH}", f"rs-{self.namespace}-{self.app}")
        return workload(
            owner=owner, controller=controller, controller_replicas=self.desired, replicas=self.desired,
            selector=f"app={self.app}", controller_uids=frozenset({controller.uid}),
        )  # fmt: skip

    def _record_readiness(self) -> None:
        ready = sum(1 for p in self.pods.values() if p.ready and not p.deleting)
        self.min_ready = min(self.min_ready, ready)

    def _write(self, description: str) -> None:
        """Record an executed write; the process may be killed right after it."""
        self.writes.append(description)
        if self.writes_left is not None:
            self.writes_left -= 1
            if self.writes_left < 0:
                self.writes_left = None
                raise ProcessKilled(description)

    def _patch_pod(self, pod: Pod, **changes: Any) -> None:
        current = self.pods.get(pod.key.name)
        if current is None or current.key.uid != pod.key.uid:
            raise NotFoundError("NotFound", pod.key.name)
        if current.resource_version != pod.resource_version and current != pod:
            raise ConflictError("Conflict", pod.key.name)
        version = str(int(current.resource_version) + 1)
        self.pods[pod.key.name] = replace(current, resource_version=version, **changes)

    # Client methods.

    async def list_target_pods(self, namespace: str, api_version: str, kind: str, name: str) -> tuple[Pod, ...]:
        return await self.list_pods(namespace, f"{kind}/{name}")

    async def list_pods(self, namespace: str, selector: str) -> tuple[Pod, ...]:
        self.queried_selectors.append(selector)
        return tuple(self.pods.values())

    async def list_all_pods(self, namespace: str, max_pods: int) -> tuple[Pod, ...] | None:
        self.queried_selectors.append("")
        return None if len(self.pods) > max_pods else tuple(self.pods.values())

    async def resolve_target(self, namespace: str, api_version: str, kind: str, name: str) -> TargetControllers:
        self.resolved_targets.append(f"{kind}/{name}")
        return TargetControllers(f"app={self.app}", self._workload().controller_uids)

    async def get_pod(self, namespace: str, name: str) -> Pod | None:
        return self.pods.get(name)

    async def find_workload(
        self, namespace: str, controller: ObjectRef, owner: ObjectRef | None = None
    ) -> Workload | None:
        return self._workload()

    async def find_selection(self, pod: Pod, hash_label: str) -> PodSelection:
        assert hash_label == "pod-template-hash"
        return PodSelection(self.hash_selected_by)

    async def find_hash_selectors(self, namespace: str, pods: Sequence[tuple[Pod, str]]) -> list[str]:
        return [(await self.find_selection(*pod)).hash_selector for pod in pods]

    async def find_missing_room(self, pod: Pod, hash_label: str) -> str:
        assert hash_label == "pod-template-hash"
        self.room_checks += 1
        return self.missing_room

    async def list_node_memory(self) -> dict[str, int]:
        return dict(self.node_memory)

    async def list_autoscalers(self, namespace: str, max_age_s: float = 0.0) -> tuple[Autoscaler, ...] | None:
        self.autoscaler_reads += 1
        return self.autoscalers

    async def find_detachment(self, pod: Pod) -> Detachment:
        return Detachment(labels={"app": pod.labels["app"]})

    async def list_workload_pods(self, found: Workload, namespace: str) -> tuple[Pod, ...]:
        return tuple(p for p in self.pods.values() if p.controller is not None)

    async def get_namespace_annotations(self, namespace: str) -> dict[str, str]:
        return {}

    async def get_policy(self, namespace: str, name: str) -> dict[str, Any] | None:
        return self.policies_json.get(name)

    async def list_policies(self, namespaces: Sequence[str], selector: str = "") -> tuple[dict[str, Any], ...]:
        return tuple(self.policies_json.values())

    async def list_rolls(self, namespace: str) -> tuple[dict[str, Any], ...]:
        return tuple(self.rolls_json.values())

    async def iterate_rolls(self, namespace: str) -> AsyncIterator[dict[str, Any]]:
        for raw in await self.list_rolls(namespace):
            yield raw

    async def iterate_objects(self, plural: str, namespace: str) -> AsyncIterator[dict[str, Any]]:
        for raw in await self._list_objects(plural, namespace):
            yield raw

    async def list_versions(self, plural: str, namespace: str) -> tuple[ObjectVersion, ...]:
        metas = [raw["metadata"] for raw in await self._list_objects(plural, namespace)]
        return tuple(ObjectVersion(m["namespace"], m["name"], m["uid"], m["resourceVersion"]) for m in metas)

    async def get_object(self, plural: str, namespace: str, name: str) -> dict[str, Any] | None:
        return await (self.get_roll if plural == ROLL_PLURAL else self.get_policy)(namespace, name)

    async def _list_objects(self, plural: str, namespace: str) -> tuple[dict[str, Any], ...]:
        if plural == ROLL_PLURAL:
            return await self.list_rolls(namespace)
        return await self.list_policies((namespace,) if namespace else ())

    def server_now(self) -> datetime | None:
        return self.server_time or at(self.seconds)

    async def get_roll(self, namespace: str, name: str) -> dict[str, Any] | None:
        return self.rolls_json.get(name)

    async def create_roll(self, namespace: str, manifest: dict[str, Any]) -> dict[str, Any]:
        name = manifest["metadata"]["name"]
        if name in self.rolls_json:
            raise ConflictError("Conflict", name)
        stamp = at(self.seconds).strftime("%Y-%m-%dT%H:%M:%SZ")
        uid = f"uid-{name}" if namespace == "demo" else f"uid-{namespace}-{name}"
        meta = manifest["metadata"] | {"uid": uid, "resourceVersion": "1", "creationTimestamp": stamp}
        self.rolls_json[name] = manifest | {"metadata": meta, "status": {}}
        self._write(f"create {name}")
        return self.rolls_json[name]

    async def delete_roll(self, namespace: str, name: str, uid: str, resource_version: str = "") -> None:
        self.rolls_json.pop(name, None)
        self._write(f"delete {name}")

    async def write_status(
        self, plural: str, namespace: str, name: str, resource_version: str, status: dict[str, Any]
    ) -> dict[str, Any]:
        store = self.rolls_json if plural == "podrolls" else self.policies_json
        raw = store.get(name)
        if raw is None:
            raise NotFoundError("NotFound", name)
        if raw["metadata"]["resourceVersion"] != resource_version:
            raise ConflictError("Conflict", name)
        version = str(int(resource_version) + 1)
        store[name] = raw | {"metadata": raw["metadata"] | {"resourceVersion": version}, "status": status}
        self._write(f"status {name} {status.get('phase', '')}")
        return store[name]

    async def release(self, pod: Pod, hash_label: str, roll_name: str, owners: RecordedOwners) -> str:
        if pod.labels.get(hash_label) == RELEASED_HASH:
            return ""
        old = pod.labels[hash_label]
        annotations = {ROLL_ANNOTATION: roll_name, HASH_ANNOTATION: old, OWNER_ANNOTATION: owners.to_annotation()}
        self._patch_pod(pod, labels={**pod.labels, hash_label: RELEASED_HASH}, annotations=annotations)
        self._write(f"release {pod.key.name}")
        return ""

    async def restore(self, pod: Pod, hash_label: str) -> None:
        current = self.pods[pod.key.name]
        if current.labels[hash_label] != RELEASED_HASH:
            return
        recorded = current.annotations.get(HASH_ANNOTATION, RELEASED_HASH)
        if recorded == RELEASED_HASH:
            raise TerminalError("Unrestorable", f"pod {pod.key.name} has no recorded hash")
        self.owners.pop(pod.key.uid, None)
        labels = self.detached.pop(pod.key.uid, {}) | {hash_label: recorded}
        self._patch_pod(current, labels={**current.labels, **labels}, annotations={})
        self._write(f"restore {pod.key.name}")

    async def detach(self, pod: Pod, labels: Mapping[str, str]) -> None:
        current = self.pods[pod.key.name]
        assert RELEASED_HASH in current.labels.values(), "only a released pod is detached"
        self.detached[pod.key.uid] = dict(labels)
        self._patch_pod(current, labels={**current.labels, **dict.fromkeys(labels, DETACHED_VALUE)})
        self._write(f"detach {pod.key.name}")

    async def restart(self, namespace: str, owner: ObjectRef, at: datetime) -> None:
        self._write(f"restart {owner.name}")

    async def add_owner(self, pod: Pod, roll_name: str, roll_uid: str) -> None:
        self.owners[pod.key.uid] = roll_uid
        self._write(f"own {pod.key.name}")

    async def leave_to_workload(self, pod: Pod) -> None:
        self._write(f"leave {pod.key.name}")

    async def evict(self, pod: Pod, roll_name: str = "") -> EvictionResponse:
        current = self.pods.get(pod.key.name)
        if current is None or current.key.uid != pod.key.uid:
            return EvictionResponse(EvictionResult.GONE, "gone")
        if current.deleting:
            return EvictionResponse(EvictionResult.ACCEPTED, "terminating")
        if not self.budget_allows:
            return EvictionResponse(EvictionResult.BLOCKED, "the budget allows none now")
        self.evicted.append(pod.key.uid)
        self.pods[current.key.name] = replace(current, deleting=True, ready=False)
        self._record_readiness()
        self._write(f"evict {pod.key.name}")
        return EvictionResponse(EvictionResult.ACCEPTED, "accepted")

    async def prefer_deletion(self, pod: Pod) -> None:
        self._write(f"prefer the deletion of {pod.key.name}")

    async def dry_run_eviction(self, pod: Pod) -> EvictionResponse:
        if self.dry_run_error:
            return EvictionResponse(EvictionResult.UNKNOWN, self.dry_run_error)
        if self.never_evictable:
            return EvictionResponse(EvictionResult.MISCONFIGURED, self.never_evictable)
        if not self.budget_allows:
            return EvictionResponse(EvictionResult.BLOCKED, "the budget allows none now")
        return EvictionResponse(EvictionResult.ACCEPTED, "it would be accepted")

    async def read_logs(
        self, pod: PodKey, container: str, lines: int, timeout_s: float, *, previous: bool = False
    ) -> tuple[str, ...]:
        if isinstance(self.pod_log, Exception):
            raise self.pod_log
        return () if previous else self.pod_log[-lines:]

    async def list_released_pods(self, namespace: str | None = None) -> tuple[Pod, ...]:
        return tuple(p for p in self.pods.values() if RELEASED_HASH in p.labels.values())


class FakePrometheus:
    """Prometheus with one series for each container ID, or with an error for every query."""

    def __init__(self, by_container: dict[str, Series], error: Exception | None = None) -> None:
        self.by_container = by_container
        self.error = error
        self.gauge: float | None = None
        self.reads: list[tuple[str, str, tuple[str, ...], float]] = []
        self.prefilters: list[tuple[str, str, tuple[str, ...]]] = []
        self.long_reads: list[tuple[str, str, tuple[str, ...], float]] = []

    def _series_of(self, pods: Sequence[str]) -> Iterator[tuple[str, Series]]:
        if self.error is not None:
            raise self.error
        return ((n, s) for n in pods if (s := self.by_container.get(f"id-{n}")) is not None)

    async def prefilter(
        self,
        connection: str,
        namespace: str,
        pods: Sequence[str],
        windows_s: Sequence[float],
        at_s: float,
        slow: SlowBins = NO_SLOW_BINS,
    ) -> PrefilterResult:
        """Return the statistics that a server computes: least-squares slopes of each window, and the newest samples."""
        self.prefilters.append((connection, namespace, tuple(pods)))
        rows = tuple(_prefilter_row(name, s, (windows_s, slow), at_s) for name, s in self._series_of(pods))
        return PrefilterResult(rows, tuple(windows_s), at_s, slow)

    async def read_gauge(self, connection: str, namespace: str, pod: str, metric: str, since_s: float) -> float | None:
        return self.gauge

    async def read(self, connection: str, request: ReadRequest) -> QueryResult:
        self.reads.append((connection, request.namespace, tuple(request.pods), request.sample_range.lookback_s))
        rows = tuple(SeriesRow(name, "app", f"id-{name}", s, s) for name, s in self._series_of(request.pods))
        return QueryResult(rows, request.at_s)

    async def read_extremes(self, connection: str, request: ExtremesRequest) -> Extremes:
        """Return the extremes of each step that has ended, as a server computes them."""
        self.long_reads.append((connection, request.namespace, tuple(request.pods), request.lookback_s))
        rows = []
        for name, series in self._series_of(request.pods):
            found = step_extremes(series.until(request.at_s), request.step_s)
            rows.append(
                ExtremesRow(name, "app", f"id-{name}", *(s.between(request.start_s, request.at_s) for s in found))
            )
        return Extremes(tuple(rows), request.step_s)


def _prefilter_row(name: str, series: Series, windows: tuple[Sequence[float], SlowBins], at_s: float) -> PrefilterRow:
    windows_s, slow = windows
    slopes = tuple(None if np.isnan(s) else float(s) for s in window_slopes(series, windows_s, np.array([at_s]))[:, 0])
    series = series.until(at_s)
    usage_bytes = float(series.values[-1]) if len(series) else None
    now, *before = (series.between(at_s - o - slow.bin_s, at_s - o).values for o in (0.0, *slow.offsets_s))
    minima = zip(slow.offsets_s, before, strict=True)
    slow_slopes = tuple(float(now.min() - b.min()) / o if now.size and b.size else None for o, b in minima)
    row = PrefilterRow(name, "app", f"id-{name}", slopes, len(series), usage_bytes, usage_bytes, series.last_s)
    return replace(row, slow_slopes_bytes_per_s=slow_slopes)


class FakeEventRecorder:
    """Event recorder that stores the published Events."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def publish(self, events: Any) -> None:
        self.events += list(events)

    def reasons(self, kind: str) -> list[str]:
        return [e.reason.value for e in self.events if e.regarding.kind == kind]


def pod_key(name: str) -> PodKey:
    return PodKey("demo", name, f"uid-{name}")
