"""Protocols of the clients by which memroll reads and changes the cluster, one for each role.

The modules in rolling, reconcile and controller name the roles that they use; the classes in `memroll.clients` and the
fakes in tests/fakes.py implement them. The roles that lower layers use are defined there: `SampleReader` in detection,
`LogReader` and `ReportFetcher` in evidence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from memroll.detection.assess import SampleReader
from memroll.evidence.capture import LogReader, ReportFetcher

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
    from datetime import datetime

    from memroll.api.evidence import Evidence
    from memroll.api.pod_roll import Detachment, PodRoll
    from memroll.model.annotations import RecordedOwners
    from memroll.model.autoscalers import Autoscaler
    from memroll.model.pod_selection import PodSelection
    from memroll.model.pods import ObjectRef, Pod, Workload
    from memroll.model.roll_record import RollRecord
    from memroll.model.target import TargetControllers
    from memroll.rolling.eviction_response import EvictionResponse


class PodReader(Protocol):
    """Reads pods."""

    async def list_pods(self, namespace: str, selector: str) -> tuple[Pod, ...]: ...
    async def list_all_pods(self, namespace: str, max_pods: int) -> tuple[Pod, ...] | None: ...
    async def get_pod(self, namespace: str, name: str) -> Pod | None: ...
    async def list_target_pods(self, namespace: str, api_version: str, kind: str, name: str) -> tuple[Pod, ...]: ...
    async def resolve_target(self, namespace: str, api_version: str, kind: str, name: str) -> TargetControllers: ...
    async def list_workload_pods(self, workload: Workload, namespace: str) -> tuple[Pod, ...]: ...
    async def list_released_pods(self, namespace: str | None = None) -> tuple[Pod, ...]: ...


class WorkloadReader(Protocol):
    """Reads the owners of pods, and the annotations of namespaces."""

    async def find_workload(
        self, namespace: str, controller: ObjectRef, owner: ObjectRef | None = None
    ) -> Workload | None: ...
    async def get_namespace_annotations(self, namespace: str) -> Mapping[str, str]: ...


class NetworkReader(Protocol):
    """Reads the Services and NetworkPolicies that select a pod."""

    async def find_detachment(self, pod: Pod) -> Detachment: ...
    async def find_selection(self, pod: Pod, hash_label: str) -> PodSelection: ...
    async def find_hash_selectors(self, namespace: str, pods: Sequence[tuple[Pod, str]]) -> list[str]: ...


class PlacementReader(Protocol):
    """Reads the nodes and what runs on them."""

    async def find_missing_room(self, pod: Pod, hash_label: str) -> str: ...


class NodeReader(Protocol):
    """Reads the allocatable memory of nodes, in bytes. One that is not known is missing."""

    async def list_node_memory(self) -> Mapping[str, int]: ...


class AutoscalerReader(Protocol):
    """Reads the autoscalers of a namespace. A kind that may not be read counts as absent; None: a temporary error."""

    async def list_autoscalers(self, namespace: str, max_age_s: float = 0.0) -> tuple[Autoscaler, ...] | None: ...


class PodWriter(Protocol):
    """Changes pods and restarts workloads. Each call can be repeated."""

    async def release(self, pod: Pod, hash_label: str, roll_name: str, owners: RecordedOwners) -> str: ...
    async def restore(self, pod: Pod, hash_label: str) -> None: ...
    async def add_owner(self, pod: Pod, roll_name: str, roll_uid: str) -> None: ...
    async def leave_to_workload(self, pod: Pod) -> None: ...
    async def detach(self, pod: Pod, labels: Mapping[str, str]) -> None: ...
    async def evict(self, pod: Pod, roll_name: str) -> EvictionResponse: ...
    async def dry_run_eviction(self, pod: Pod) -> EvictionResponse: ...
    async def prefer_deletion(self, pod: Pod) -> None: ...
    async def restart(self, namespace: str, owner: ObjectRef, at: datetime) -> None: ...


class StatusWriter(Protocol):
    """Writes the status of a MemoryPolicy or PodRoll, provided that nobody else has changed the object."""

    async def write_status(
        self, plural: str, namespace: str, name: str, resource_version: str, status: dict[str, Any]
    ) -> dict[str, Any]: ...


class PodRollReader(Protocol):
    """Reads PodRolls."""

    def iterate_rolls(self, namespace: str) -> AsyncIterator[dict[str, Any]]: ...


class PodRollStore(PodRollReader, StatusWriter, Protocol):
    """Reads, creates and deletes PodRolls."""

    async def list_rolls(self, namespace: str) -> tuple[dict[str, Any], ...]: ...
    async def get_roll(self, namespace: str, name: str) -> dict[str, Any] | None: ...
    async def create_roll(self, namespace: str, manifest: dict[str, Any]) -> dict[str, Any]: ...
    async def delete_roll(self, namespace: str, name: str, uid: str, resource_version: str = "") -> None: ...


class RollSource(Protocol):
    """Reads the PodRolls of a namespace, or of all if it is empty, as they are now: as records where these are known.

    `without_uid`: a PodRoll that need not be among them.
    """

    def iterate(self, namespace: str, without_uid: str = "") -> AsyncIterator[RollRecord | dict[str, Any]]: ...

    def known(self, namespace: str) -> Sequence[RollRecord] | None:
        """Return what is known of the PodRolls of a namespace without a request; None if that may be too old."""
        ...


class GaugeReader(Protocol):
    """Reads the newest value of a gauge of one pod from Prometheus."""

    async def read_gauge(
        self, connection: str, namespace: str, pod: str, metric: str, since_s: float
    ) -> float | None: ...


class EvidenceCaptures(Protocol):
    """Captures evidence in slots of its own, between the steps of rolls."""

    async def capture(
        self, roll: PodRoll, available_s: float, capture: Callable[[float], Awaitable[Evidence]]
    ) -> Evidence | None: ...


class KubernetesClient(
    PodReader, PodWriter, WorkloadReader, NetworkReader, PlacementReader, NodeReader, AutoscalerReader, PodRollStore,
    LogReader, Protocol,
):  # fmt: skip
    """All roles that the Kubernetes API fills."""


class PrometheusReader(SampleReader, GaugeReader, Protocol):
    """All roles that Prometheus fills."""


class PodWatcher(Protocol):
    """Watches the pods of the workloads that have rolls in progress, and wakes a roll when one of its pods changes."""

    def follow(self, namespace: str, roll: str, selector: str, pod_uid: str) -> bool:
        """Wake a roll from now on, for a while; return whether the pods are being watched."""
        ...

    def forget(self, namespace: str, roll: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Clients:
    """The clients that a step of a roll uses."""

    kubernetes: KubernetesClient
    prometheus: PrometheusReader
    reports: ReportFetcher | None = None
    """Fetches the memory reports of pods; None: none is fetched."""
    captures: EvidenceCaptures | None = None
    """Captures evidence between the steps of rolls; None: a step waits for its capture."""
    rolls: RollSource | None = None
    """Reads the other PodRolls; None: they are listed with all that they contain."""
