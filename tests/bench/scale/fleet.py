"""Fleet of pods: namespaces, policies, Deployments, and the shape of each pod's memory. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from tests.bench.scale.options import PODS_PER_DEPLOYMENT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.scale.options import Options

MIN_AGE_S, MAX_AGE_S = 8 * 3600, 48 * 3600
SAWTOOTH_RATIO, DAILY_RATIO = 0.1, 0.04
APP, SIDECAR = "app", "proxy"
MIB = 1024 * 1024
LIMITS_MIB = {APP: 512, SIDECAR: 128}


class Shape(StrEnum):
    """Shape of the memory of a pod's main container; its sidecar is always flat."""

    FLAT = "flat"
    SAWTOOTH = "sawtooth"
    DAILY = "daily"
    CLIMBING = "climbing"


@dataclass(frozen=True)
class FleetPod:
    """Pod of the fleet. `number` is unique; `age_s` is its age when the fleet is created."""

    namespace: str
    policy: str
    deployment: str
    number: int
    shape: Shape
    age_s: int

    @property
    def template_hash(self) -> str:
        return digest("template", self.namespace, self.deployment)[:10]

    @property
    def replica_set(self) -> str:
        return f"{self.deployment}-{self.template_hash}"

    @property
    def name(self) -> str:
        return f"{self.replica_set}-{digest('pod', str(self.number))[:5]}"

    @property
    def node(self) -> str:
        return f"node-{self.number % 100:03}"

    def container_id(self, container: str) -> str:
        return digest("container", str(self.number), container)


@dataclass(frozen=True)
class Fleet:
    pods: tuple[FleetPod, ...]

    @property
    def namespaces(self) -> list[str]:
        return sorted({pod.namespace for pod in self.pods})

    @property
    def policies(self) -> list[tuple[str, str]]:
        return sorted({(pod.namespace, pod.policy) for pod in self.pods})

    @property
    def deployments(self) -> dict[tuple[str, str], list[FleetPod]]:
        found: dict[tuple[str, str], list[FleetPod]] = {}
        for pod in self.pods:
            found.setdefault((pod.namespace, pod.deployment), []).append(pod)
        return found

    def count(self, shape: Shape) -> int:
        return sum(pod.shape is shape for pod in self.pods)


def build(options: Options) -> Fleet:
    shapes = assign_shapes(options.size, options.suspects_ratio)
    return Fleet(tuple(_pod(options, number, shape) for number, shape in enumerate(shapes)))


def assign_shapes(size: int, suspects_ratio: float) -> Iterator[Shape]:
    """Yield the shape of each pod.

    Half of the leaking pods are whole Deployments, the others single pods, spread over the other Deployments.
    """
    whole, single = suspects_ratio / 2, (suspects_ratio / 2) / (1 - suspects_ratio / 2)
    others = suspected_whole = singles = 0
    for number in range(size):
        deployment = number // PODS_PER_DEPLOYMENT
        if number % PODS_PER_DEPLOYMENT == 0:
            suspected_whole = is_nth(deployment, whole)
            others += not suspected_whole
        if suspected_whole:
            yield Shape.CLIMBING
            continue
        singles += 1
        yield Shape.CLIMBING if is_nth(singles - 1, single) else _healthy_shape(others - 1)


def is_nth(number: int, ratio: float) -> bool:
    """Return whether a number is among this ratio of all numbers, spread evenly."""
    return int((number + 1) * ratio + 1e-9) > int(number * ratio + 1e-9)


def _healthy_shape(deployment: int) -> Shape:
    if is_nth(deployment, SAWTOOTH_RATIO):
        return Shape.SAWTOOTH
    return Shape.DAILY if is_nth(deployment + 12, DAILY_RATIO) else Shape.FLAT


def _pod(options: Options, number: int, shape: Shape) -> FleetPod:
    namespace, policy = number // options.pods_per_namespace, number // options.pods_per_policy
    return FleetPod(
        namespace=f"scale-{namespace:03}",
        policy=f"policy-{policy:03}",
        deployment=f"service-{number // PODS_PER_DEPLOYMENT:04}",
        number=number,
        shape=shape,
        age_s=MIN_AGE_S + int(digest("age", str(number))[:8], 16) % (MAX_AGE_S - MIN_AGE_S),
    )


def digest(*parts: str) -> str:
    return hashlib.sha256("/".join(parts).encode()).hexdigest()
