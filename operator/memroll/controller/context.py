"""Clients, permissions and settings that the policy controller and the roll controller share."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from memroll import clock
from memroll.api import POLICY_PLURAL, ROLL_PLURAL
from memroll.api.decode import decode_valid
from memroll.api.policy_bounds import UNBOUNDED, PolicyBounds
from memroll.api.quantity import parse_duration
from memroll.clients.kube.json_access import get_str
from memroll.controller.current_rolls import CurrentRolls
from memroll.controller.index_resync import ObjectReader
from memroll.controller.object_index import ObjectIndex
from memroll.model.permissions import ALL_PERMISSIONS, Permissions
from memroll.model.policy_record import PolicyRecord
from memroll.model.roll_record import RollRecord
from memroll.reconcile.step_memory import StepMemory
from memroll.rolling.protocols import KubernetesClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Sequence
    from datetime import datetime

    from memroll.controller.key import Key
    from memroll.errors import MemrollError
    from memroll.evidence.capture import ReportFetcher
    from memroll.reporting.events import Event
    from memroll.reporting.metrics import Metrics
    from memroll.rolling.protocols import PrometheusReader
    from memroll.settings import Settings

logger = logging.getLogger(__name__)

NAMESPACE_EXCLUDED = "NamespaceExcluded"
"""Reason of policies and rolls in an excluded namespace."""
NAMESPACE_EXCLUDED_MESSAGE = "memroll does not act in this namespace"


def new_policy_index() -> ObjectIndex[PolicyRecord]:
    return ObjectIndex(POLICY_PLURAL, PolicyRecord.read)


def new_roll_index() -> ObjectIndex[RollRecord]:
    return ObjectIndex(ROLL_PLURAL, RollRecord.read, ignore_invalid=True)


class ControllerClient(KubernetesClient, ObjectReader, Protocol):
    """All roles of the Kubernetes API that the controllers need: those of the reconcilers, and reading policies."""

    def server_now(self) -> datetime | None: ...

    async def get_policy(self, namespace: str, name: str) -> dict[str, Any] | None: ...
    async def list_policies(self, namespaces: Sequence[str]) -> tuple[dict[str, Any], ...]: ...


class EventPublisher(Protocol):
    """Publishes Kubernetes Events without blocking."""

    def publish(self, events: Iterable[Event]) -> None: ...


@dataclass(frozen=True, slots=True)
class ListedKeys:
    """Keys of the objects to reconcile, and the errors of the namespaces that could not be listed."""

    keys: list[Key] = field(default_factory=list)
    errors: list[MemrollError] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ControllerContext:
    """Clients, permissions and settings of both controllers."""

    kubernetes: ControllerClient
    prometheus: PrometheusReader
    events: EventPublisher
    metrics: Metrics
    leads: Callable[[], bool]
    """Return whether this process holds the Lease. Without it nothing is reconciled."""
    now: Callable[[], datetime]
    permissions: Permissions = ALL_PERMISSIONS
    namespaces: tuple[str, ...] = ()
    """Watched namespaces; empty: all."""
    excluded: tuple[str, ...] = ()
    """Namespaces in which memroll never acts."""
    uninstalling: str = ""
    """Reason why every roll is rolled back; empty during normal operation."""
    policies: ObjectIndex[PolicyRecord] = field(default_factory=new_policy_index)
    """Index of the policies. It is not used until the resync has confirmed it."""
    rolls: ObjectIndex[RollRecord] = field(default_factory=new_roll_index)
    """Index of the PodRolls. It is not used until the resync has confirmed it."""
    reports: ReportFetcher | None = None
    """Fetcher of the pods' own memory reports; None: no pod is contacted."""
    memory: StepMemory = field(default_factory=StepMemory)
    """Memory of the steps of rolls, and of what their plans have read."""
    bounds: PolicyBounds = UNBOUNDED
    """Bounds of policies and of PodRolls by hand that the administrator set."""

    @property
    def current_rolls(self) -> CurrentRolls:
        """Source of the PodRolls as they are now."""
        return CurrentRolls(self.kubernetes, self.rolls)

    async def read_policies(self, namespace: str) -> tuple[PolicyRecord, ...]:
        """Return the records of the valid policies of a namespace."""
        if self.policies.is_current(clock.elapsed_s()):
            return self.policies.of_namespace(namespace)
        return await self.list_policies(namespace)

    async def list_policies(self, namespace: str) -> tuple[PolicyRecord, ...]:
        """Return the records of the valid policies of a namespace, from the API server."""
        return tuple(decode_valid(await self.kubernetes.list_policies((namespace,)), PolicyRecord.read))

    async def read_rolls(self, namespace: str) -> tuple[RollRecord, ...]:
        """Return the records of the valid PodRolls of a namespace."""
        if self.rolls.is_current(clock.elapsed_s()):
            return self.rolls.of_namespace(namespace)
        return tuple([roll async for roll in self.list_rolls(namespace)])

    async def list_rolls(self, namespace: str) -> AsyncIterator[RollRecord]:
        """Yield the records of the valid PodRolls of a namespace, or of all if it is empty, from the API server."""
        async for raw in self.kubernetes.iterate_rolls(namespace):
            for record in decode_valid([raw], RollRecord.read, _log_invalid):
                yield record


def permissions_from(settings: Settings) -> Permissions:
    """Return the permissions that the settings grant."""
    return Permissions(
        acting=settings.allow_acting,
        surge=settings.allow_surge,
        restart=settings.allow_restart,
        logs=settings.allow_logs,
        http=settings.allow_evidence_http,
        nodes=settings.allow_nodes,
    )


def bounds_from(settings: Settings) -> PolicyBounds:
    """Return the bounds that the settings set."""
    return PolicyBounds(
        min_interval=parse_duration(settings.min_interval),
        max_window=parse_duration(settings.max_window),
        pods_per_policy=settings.pods_per_policy,
        policies_per_namespace=settings.policies_per_namespace,
        manual_rolls_per_hour=settings.manual_rolls_per_hour,
    )


def _log_invalid(raw: dict[str, Any]) -> None:
    namespace, name = (get_str(raw, "metadata", field) for field in ("namespace", "name"))
    logger.warning("PodRoll %s/%s is invalid", namespace, name)
