"""Workload of a pod, derived from names and labels alone: nothing is looked up in the cluster. Pure.

Used to group the pods of a workload (`detection.batches`), to find its earlier pods in Prometheus by name, to assign
measured roll durations (`roll_duration`), and by the leak ledger and the backtest to name the workload.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from memroll.model.pods import ROLLOUT_HASH, TEMPLATE_HASH

if TYPE_CHECKING:
    from memroll.model.pods import Pod

OWNER_KINDS = {TEMPLATE_HASH: "Deployment", ROLLOUT_HASH: "Rollout"}
"""Template hash labels, each with the kind that owns the ReplicaSet that sets it."""
SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""Alphabet of generated names in Kubernetes: no vowels, and no character that looks like another one."""
MIN_HASH_CHARS = 6
"""Minimum length of a template hash in a pod's name, where only the name is known. Chosen by hand.

Shorter ones count as a part of a DaemonSet's name.
"""
MAX_HASH_CHARS = 10
"""Maximum length of a template hash: that of 32 bits in decimal."""
RANDOM_CHARS = 5
"""Length of the random part of a generated name in Kubernetes."""
_GENERATED = re.compile(
    f"(.+?)(?:-([{SUFFIX_ALPHABET}]{{{MIN_HASH_CHARS},{MAX_HASH_CHARS}}}))?-[{SUFFIX_ALPHABET}]{{{RANDOM_CHARS}}}"
)
_NUMBERED = re.compile(r"(.+)-[0-9]+")


@dataclass(frozen=True, slots=True)
class PodPattern:
    """Pattern of generated pod names: `prefix`, then a number of `-suffix` parts.

    The last part is random, those before it are hashes of a template: 2 parts for a Deployment's pods, 1 for those of
    a ReplicaSet, DaemonSet or Job.
    """

    prefix: str
    suffix_parts: int

    def __post_init__(self) -> None:
        if not self.prefix or self.suffix_parts < 1:
            raise ValueError(f"not a pattern of generated names: {self.prefix!r} and {self.suffix_parts} parts")

    @property
    def suffix(self) -> str:
        """All parts after the prefix, as a regular expression that RE2 and Python read alike."""
        hashed = f"-[{SUFFIX_ALPHABET}]{{1,{MAX_HASH_CHARS}}}"
        return hashed * (self.suffix_parts - 1) + f"-[{SUFFIX_ALPHABET}]{{{RANDOM_CHARS}}}"

    def matches(self, pod: str) -> bool:
        """Return whether a pod's name matches."""
        match = re.fullmatch(self.suffix, pod.removeprefix(self.prefix))
        return pod.startswith(self.prefix) and match is not None


@dataclass(frozen=True, slots=True)
class WorkloadName:
    """Kind and name of a workload."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"

    @property
    def peer_group(self) -> WorkloadName:
        """Key under which pods count as peers: a Rollout counts as the Deployment that it may have replaced."""
        return WorkloadName("Deployment", self.name) if self.kind == "Rollout" else self

    @property
    def pattern(self) -> PodPattern | None:
        """Pattern of its pods' names, if they are generated; a StatefulSet's pods return under the same names."""
        parts = {"Deployment": 2, "Rollout": 2, "ReplicaSet": 1, "DaemonSet": 1}.get(self.kind)
        return PodPattern(self.name, parts) if parts else None


def workload_of(pod: Pod) -> WorkloadName | None:
    """Return the workload of a pod, None for a pod without a controller.

    A ReplicaSet with the pod's template hash in its name stands for its Deployment or Rollout.
    """
    ref = pod.controller
    if ref is None:
        return None
    base, _, suffix = ref.name.rpartition("-")
    for label, kind in OWNER_KINDS.items():
        if ref.kind == "ReplicaSet" and base and suffix == pod.labels.get(label):
            return WorkloadName(kind, base)
    return WorkloadName(ref.kind, ref.name)


def workload_or_pod(pod: Pod) -> str:
    """Return the workload of a pod as text, such as `Deployment/chat`; the pod itself if it has no controller."""
    return str(workload_of(pod) or f"Pod/{pod.key.name}")


def workload_from_pod_name(pod: str) -> str:
    """Return the name of a pod's workload from the pod's name, which is all that recorded history contains."""
    match = _GENERATED.fullmatch(pod) or _NUMBERED.fullmatch(pod)
    return match[1] if match else pod


def template_hash_from_pod_name(pod: str) -> str:
    """Return the template hash in the name of a pod of a Deployment; empty if its name has none."""
    match = _GENERATED.fullmatch(pod)
    return (match[2] or "") if match else ""
