"""Clients, permissions and settings that the policy controller and the roll controller share."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from memroll.api.decode import decode_valid
from memroll.api.pod_roll import PodRoll
from memroll.api.policy_bounds import UNBOUNDED, PolicyBounds
from memroll.api.quantity import parse_duration
from memroll.clients.kube.json_access import get_str
from memroll.errors import MemrollError
from memroll.model.permissions import ALL_PERMISSIONS, Permissions
from memroll.rolling.protocols import KubernetesClient

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
    from datetime import datetime

    from memroll.controller.workqueue import Key
    from memroll.evidence.capture import ReportFetcher
    from memroll.reporting.events import Event
    from memroll.reporting.metrics import Metrics
    from memroll.rolling.protocols import PrometheusReader
    from memroll.settings import Settings

logger = logging.getLogger(__name__)

NAMESPACE_EXCLUDED = "NamespaceExcluded"
"""Reason of policies and rolls in an excluded namespace."""
NAMESPACE_EXCLUDED_MESSAGE = "memroll does not act in this namespace"


class ControllerClient(KubernetesClient, Protocol):
    """All roles of the Kubernetes API that the controllers need: those of the reconcilers, and reading policies."""

    async def get_policy(self, namespace: str, name: str) -> dict[str, Any] | None: ...
    async def list_policies(self, namespaces: Sequence[str]) -> tuple[dict[str, Any], ...]: ...


class EventPublisher(Protocol):
    """Publishes Kubernetes Events without blocking."""

    def publish(self, events: Iterable[Event]) -> None: ...


@dataclass(frozen=True, slots=True)
class ListedObjects:
    """Raw objects of all watched namespaces, and the errors of those namespaces that could not be listed."""

    objects: list[dict[str, Any]] = field(default_factory=list)
    errors: list[MemrollError] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ListedKeys:
    """Keys of the objects to reconcile, and the errors of the namespaces that could not be listed."""

    keys: list[Key]
    errors: list[MemrollError]


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
    reports: ReportFetcher | None = None
    """Fetcher of the pods' own memory reports; None: no pod is contacted."""
    bounds: PolicyBounds = UNBOUNDED
    """Bounds of policies and of PodRolls by hand that the administrator set."""

    async def list_by_namespace(
        self, list_objects: Callable[[str], Awaitable[Iterable[dict[str, Any]]]]
    ) -> ListedObjects:
        """List the objects of each watched namespace. An error of one namespace does not hide the others' objects."""
        listed = ListedObjects()
        for namespace in self.namespaces or ("",):
            try:
                listed.objects.extend(await list_objects(namespace))
            except MemrollError as error:
                listed.errors.append(error)
        return listed


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


def decode_rolls(raws: Iterable[dict[str, Any]]) -> Iterator[PodRoll]:
    """Yield the valid PodRolls; log the invalid ones."""
    return decode_valid(raws, PodRoll.read, _log_invalid)


def _log_invalid(raw: dict[str, Any]) -> None:
    namespace, name = (get_str(raw, "metadata", field) for field in ("namespace", "name"))
    logger.warning("PodRoll %s/%s is invalid", namespace, name)
