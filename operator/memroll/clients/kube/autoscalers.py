"""Autoscalers of a namespace: the HorizontalPodAutoscalers, VerticalPodAutoscalers and KEDA's ScaledObjects.

A kind that is not installed, or that memroll may not read, counts as absent: autoscalers are named, and decide nothing.
The API server has no such kind in any namespace then, so that it is requested again after `ABSENT_S`. After a
temporary error none is known, so that a status keeps those that it names.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from memroll import clock
from memroll.clients.kube.api_client import build_path
from memroll.clients.kube.json_access import get_dicts, get_str, get_str_dict
from memroll.clients.kube.pods import get_controller
from memroll.errors import MemrollError, NotFoundError, RetryableError
from memroll.model.autoscalers import Autoscaler
from memroll.model.pod_names import WorkloadName

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from memroll.clients.kube.api_client import Json, KubeApi

logger = logging.getLogger(__name__)

MAX_SOURCES_NAMED = 5
"""Maximum number of metrics that the message about one autoscaler names. Chosen by hand."""
MAX_KNOWN = 20_000
"""Maximum number of autoscalers and namespaces that are kept together, a few MiB. Chosen by hand."""
ABSENT_S = 600.0
"""Time in seconds for which a kind that the API server does not have is not requested again. Chosen by hand: an
installation of KEDA is noticed within that time and the next interval."""
MAX_SOURCE_CHARS = 40
"""Maximum length of the name of a metric in that message, in characters. Chosen by hand."""

_HPAS = "/apis/autoscaling/v2", "horizontalpodautoscalers"
_VPAS = "/apis/autoscaling.k8s.io/v1", "verticalpodautoscalers"
_SCALED_OBJECTS = "/apis/keda.sh/v1alpha1", "scaledobjects"
_SCALED_OBJECT = "ScaledObject"
_CPU, _MEMORY = "cpu", "memory"
_PAUSED, _PAUSED_REPLICAS = "autoscaling.keda.sh/paused", "autoscaling.keda.sh/paused-replicas"
_FALSE = frozenset({"0", "f", "F", "false", "False", "FALSE"})
_RESOURCE_FIELDS = {"Resource": "resource", "ContainerResource": "containerResource"}


@dataclass(frozen=True, slots=True)
class KnownAutoscalers:
    """Autoscalers of one namespace, with the time at which they were read."""

    read_s: float
    autoscalers: tuple[Autoscaler, ...]


class KubeAutoscalerReader:
    """Reads the autoscalers of one namespace, and keeps them for its other policies."""

    def __init__(self, api: KubeApi, monotonic: Callable[[], float] = clock.elapsed_s) -> None:
        self._api, self._monotonic = api, monotonic
        self._known: dict[str, KnownAutoscalers] = {}
        self._absent: dict[str, float] = {}
        """Time at which the API server was found to have no such kind, by its plural name."""
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def list_autoscalers(self, namespace: str, max_age_s: float = 0.0) -> tuple[Autoscaler, ...] | None:
        """Return all autoscalers that change pods; None after a temporary error. Never raises memroll's errors.

        Three list requests, unless they are known already: then their age is at most `max_age_s`. With zero, kinds that
        the API server did not have are requested again as well.
        """
        lock = self._locks.setdefault(namespace, asyncio.Lock())
        async with lock:  # the policies of a namespace are often reconciled at once
            known, now_s = self._known.get(namespace), self._monotonic()
            if known is not None and now_s - known.read_s < max_age_s:
                return known.autoscalers
            if max_age_s <= 0.0:
                self._absent.clear()
            found = await self._read(namespace)
            if found is not None:
                self._remember(namespace, KnownAutoscalers(now_s, found))
            return found

    def _remember(self, namespace: str, read: KnownAutoscalers) -> None:
        """Keep the result, and forget the oldest ones beyond the limit."""
        self._known.pop(namespace, None)
        self._known[namespace] = read
        while len(self._known) + sum(len(k.autoscalers) for k in self._known.values()) > MAX_KNOWN:
            del self._known[next(iter(self._known))]

    async def _read(self, namespace: str) -> tuple[Autoscaler, ...] | None:
        try:
            scaled = await self._list(namespace, *_SCALED_OBJECTS)
            hpas, vpas = await self._list(namespace, *_HPAS), await self._list(namespace, *_VPAS)
            return tuple(decode_autoscalers(hpas, vpas, scaled))
        except RetryableError as error:
            logger.debug("the autoscalers of namespace %s are not known: %s", namespace, error)
        except Exception:
            logger.exception("bug: decoding the autoscalers of namespace %s failed", namespace)
        return None

    async def _list(self, namespace: str, prefix: str, plural: str) -> list[Json]:
        now_s = self._monotonic()
        if now_s - self._absent.get(plural, -ABSENT_S) < ABSENT_S:
            return []
        self._absent.pop(plural, None)
        try:
            return [raw async for raw in self._api.list_items(build_path(prefix, namespace, plural))]
        except RetryableError:
            raise
        except NotFoundError:  # a namespace that does not exist has an empty list
            self._absent[plural] = now_s
            return []
        except MemrollError as error:
            logger.debug("%s of namespace %s are not known: %s", plural, namespace, error)
            return []


def decode_autoscalers(hpas: Sequence[Json], vpas: Sequence[Json], scaled: Sequence[Json]) -> Iterator[Autoscaler]:
    """Yield the autoscalers; a HorizontalPodAutoscaler that a ScaledObject controls is not yielded a second time."""
    named = {get_str(raw, "metadata", "name") for raw in scaled}
    for raw in scaled:
        triggers = [get_str(trigger, "type") for trigger in get_dicts(raw, "spec", "triggers")]
        message = f"{_describe_pause(raw)}{_describe_scaling(triggers)}"
        yield from _autoscaler(_SCALED_OBJECT, raw, "scaleTargetRef", message)
    for raw in hpas:
        owner = get_controller(raw)
        if owner is not None and owner.kind == _SCALED_OBJECT and owner.name in named:
            continue
        sources = [_source(metric) for metric in get_dicts(raw, "spec", "metrics")]
        yield from _autoscaler("HorizontalPodAutoscaler", raw, "scaleTargetRef", _describe_scaling(sources))
    for raw in vpas:
        yield from _autoscaler("VerticalPodAutoscaler", raw, "targetRef", _describe_vertical(raw))


def _autoscaler(kind: str, raw: Json, field: str, message: str) -> Iterator[Autoscaler]:
    """Yield an autoscaler with a name, a target and a message. KEDA's default kind of target is Deployment."""
    name, target = get_str(raw, "metadata", "name"), get_str(raw, "spec", field, "name")
    if name and target and message:
        yield Autoscaler(kind, name, WorkloadName(get_str(raw, "spec", field, "kind") or "Deployment", target), message)


def _source(metric: Json) -> str:
    """Return the resource of a metric, such as memory; for metrics of other systems their type, such as External."""
    kind = get_str(metric, "type")
    return get_str(metric, _RESOURCE_FIELDS[kind], "name") if kind in _RESOURCE_FIELDS else kind


def _describe_scaling(sources: Sequence[str]) -> str:
    names = sorted({source[:MAX_SOURCE_CHARS] for source in sources if source})
    message = f"scales by {', '.join(names[:MAX_SOURCES_NAMED])}" if names else "scales the workload"
    return f"{message}: a leak makes it add replicas" if _MEMORY in names else message


def _describe_pause(raw: Json) -> str:
    """Return by which annotation a ScaledObject is paused, by KEDA's rules: any value but a false one; or empty."""
    annotations = get_str_dict(raw, "metadata", "annotations")
    if _PAUSED_REPLICAS in annotations:
        return f"paused by {_PAUSED_REPLICAS}, otherwise "
    return f"paused by {_PAUSED}, otherwise " if annotations.get(_PAUSED, "false") not in _FALSE else ""


def _describe_vertical(raw: Json) -> str:
    """Return what a VerticalPodAutoscaler changes; empty if it changes nothing, or only the CPU of new pods."""
    mode = get_str(raw, "spec", "updatePolicy", "updateMode")[:MAX_SOURCE_CHARS] or "Auto"
    if mode == "Off":
        return ""
    controlled = _controlled(raw)
    if _MEMORY not in controlled:
        changes_pods = _CPU in controlled and mode != "Initial"
        return f"evicts pods to change their CPU requests (updateMode {mode})" if changes_pods else ""
    what = (
        "sets the memory requests of new pods" if mode == "Initial" else "evicts pods to change their memory requests"
    )
    return f"{what} (updateMode {mode}): a leak raises them"


def _controlled(raw: Json) -> set[str]:
    """Return the resources that are controlled in at least one container: by default both, in all of them."""
    policies = get_dicts(raw, "spec", "resourcePolicy", "containerPolicies")
    if not any(get_str(policy, "containerName") == "*" for policy in policies):
        return {_CPU, _MEMORY}
    controlled: set[str] = set()
    for policy in policies:
        if get_str(policy, "mode") != "Off":
            listed = policy.get("controlledResources")
            controlled |= {name for name in (_CPU, _MEMORY) if not isinstance(listed, list) or name in listed}
    return controlled
