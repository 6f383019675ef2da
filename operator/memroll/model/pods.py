"""What memroll knows of a pod, its containers and its workload: frozen snapshots of the cluster."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

PROTECT_ANNOTATION = "memroll.dev/protect"
ROLL_ANNOTATION = "memroll.dev/roll"
"""On a released pod: the name of the PodRoll that released it."""
HASH_ANNOTATION = "memroll.dev/released-from"
"""On a released pod: the template hash it had, to be put back in a rollback."""
OWNER_ANNOTATION = "memroll.dev/released-owner"
"""On a released pod: what owned it, as JSON, so that a stray can be judged when its PodRoll is gone."""
DETACHED_ANNOTATION = "memroll.dev/detached"
"""On a detached pod: its changed labels as they were, as compact JSON (`{"app":"chat"}`), to be put back."""
DETACHED_VALUE = "memroll-detached"
"""The value of a label by which a Service selects, while the pod is detached."""
TEMPLATE_HASH = "pod-template-hash"
"""The label by which a Deployment ties a pod to its ReplicaSet."""
ROLLOUT_HASH = "rollouts-pod-template-hash"
"""The same for an Argo Rollout."""
HASH_LABELS = (TEMPLATE_HASH, ROLLOUT_HASH)
RELEASED_HASH = "memroll-released"
"""The template hash of every released pod: one list call finds them all."""


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """A reference to an object of the pod's own namespace."""

    api_version: str
    kind: str
    name: str
    uid: str = ""

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


@dataclass(frozen=True, slots=True)
class PodKey:
    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Container:
    """One running container instance (init containers only when they are native sidecars)."""

    name: str
    id: str
    """The runtime's ID without its scheme; empty while the container is not running."""
    limit_bytes: int | None
    """The memory limit in force: the status' one where it stands there (in-place resize), else the spec's."""
    started_at: datetime | None
    restarts: int = 0
    oom_killed_at: datetime | None = None
    image: str = ""
    ports: tuple[int, ...] = ()
    """The TCP ports that it declares."""


@dataclass(frozen=True, slots=True)
class Target:
    """A pod that a policy selects."""

    key: PodKey
    resource_version: str
    created_at: datetime
    phase: str
    ready: bool
    ready_at: datetime | None
    deleting: bool
    controller: ObjectRef | None
    """The owner reference with `controller: true`."""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    """Only those of memroll.dev and the two "do not disrupt" marks of the autoscalers."""
    containers: tuple[Container, ...] = ()
    pinned_by: str = ""
    """Why a second copy of this pod can't run beside it ("host port 80", "claim data is ReadWriteOnce")."""
    stuck: str = ""
    """Why it does not become Ready, where its status says so ("Unschedulable: 0/1 nodes are available ...")."""
    unschedulable: bool = False
    """Whether the scheduler finds no room for it."""
    mirror: bool = False
    """A static pod's mirror: the API server can't evict it."""
    ip: str = ""
    """Its own address; empty while it has none, and for a pod on its host's network."""

    @property
    def released(self) -> bool:
        """Whether a roll has released this pod from its ReplicaSet."""
        return self.noted and RELEASED_HASH in self.labels.values()

    @property
    def noted(self) -> bool:
        """Whether it bears the notes of a roll: also one that somebody has put back by hand."""
        return ROLL_ANNOTATION in self.annotations


@dataclass(frozen=True, slots=True)
class Workload:
    """What keeps a pod running: its controller and, where there is one, what owns that."""

    top: ObjectRef
    """What a person would name: the Deployment, StatefulSet, DaemonSet, Rollout, or a bare ReplicaSet."""
    controller: ObjectRef
    """What owns the pods: a ReplicaSet under a Deployment or Rollout, else the same as `top`."""
    desired: int
    """Pods that `controller` wants."""
    replicas: int = 0
    """Pods that `top` wants in all; the same as `desired` but in the middle of a rollout."""
    hash_label: str = ""
    """The pod label that ties a pod to its ReplicaSet; empty when the workload can't surge."""
    mid_rollout: str = ""
    """Why the workload counts as being in a rollout, or the pod as one of another revision; or empty."""
    unsettled: str = ""
    """Why `top` itself is in a rollout, whatever the pod's revision; or empty."""
    selector: str = ""
    """What selects the pods of all its revisions, as a query string."""
    family: frozenset[str] = frozenset()
    """The uids of all controllers of its pods: one, or the ReplicaSets of all its revisions."""
    failure: str = ""
    """Why the controller can't create pods (an exhausted quota, an admission webhook), or empty."""
    paused: bool = False
    restarted_at: str = ""
    """When its pods were last restarted by annotation or field, as it is written there."""
    recreates: bool = False
    """Whether its controller ends all old pods before it creates new ones (`strategy: Recreate`)."""
    surge_refused: str = ""
    """Why it must not have a pod more than it asks for, where its own spec says so (`maxSurge: 0`), or empty."""

    @property
    def wants_back(self) -> bool:
        """Whether a released pod may go back: to be kept, or to be deleted with all others."""
        return self.desired > 0 or self.replicas == 0
