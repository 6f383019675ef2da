"""Pods, containers and workloads as frozen snapshots of the cluster.

`clients.kube` builds them from the API server's JSON; every layer above reads them. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from memroll.model.pod_revisions import PodRevisions

UNLIMITED_BYTES = 2**50
"""Minimum reported limit in bytes that means "no limit": the kernel writes the largest number that it can. A PiB."""
DO_NOT_DISRUPT_ANNOTATION = "memroll.dev/do-not-disrupt"
"""On a pod, a workload or a namespace: "true", or the time until which memroll must not roll the pod, or any of its."""
MAX_MARK_CHARS = 64
"""Maximum length of that annotation of a workload that is kept, in characters; a time is shorter. Chosen by hand."""
KARPENTER_ANNOTATION = "karpenter.sh/do-not-disrupt"
"""On a pod: "true", or for how long from its start Karpenter must not disrupt it ("30m"); memroll obeys it."""
SAFE_TO_EVICT_ANNOTATION = "cluster-autoscaler.kubernetes.io/safe-to-evict"
"""On a pod: "false" if the Cluster Autoscaler must not evict it; memroll obeys it."""
AUTOSCALER_ANNOTATIONS = frozenset({KARPENTER_ANNOTATION, SAFE_TO_EVICT_ANNOTATION})
ROLL_ANNOTATION = "memroll.dev/roll"
"""On a released pod: the name of the PodRoll that released it."""
HASH_ANNOTATION = "memroll.dev/released-from"
"""On a released pod: its original template hash, restored in a rollback."""
OWNER_ANNOTATION = "memroll.dev/released-owner"
"""On a released pod: its `RecordedOwners` as JSON, for the case that its PodRoll no longer exists."""
DETACHED_ANNOTATION = "memroll.dev/detached"
"""On a detached pod: the original values of its changed labels as JSON (`{"app":"chat"}`), restored in a rollback."""
DELETION_COST_ANNOTATION = "controller.kubernetes.io/pod-deletion-cost"
"""On a replacement whose roll is rolled back: of its Ready pods, a ReplicaSet deletes the one with the lowest cost."""
MIN_DELETION_COST = "-2147483648"
"""Lowest deletion cost: that of Kubernetes is a 32-bit integer."""
OWN_ANNOTATIONS = frozenset(
    {DO_NOT_DISRUPT_ANNOTATION, ROLL_ANNOTATION, HASH_ANNOTATION, OWNER_ANNOTATION, DETACHED_ANNOTATION}
)
"""All annotations that memroll writes or reads; others of its group are ignored."""
DETACHED_VALUE = "memroll-detached"
"""Value of the labels that a Service selects by, while the pod is detached."""
TEMPLATE_HASH = "pod-template-hash"
"""Label by which the ReplicaSets of a Deployment select their pods."""
ROLLOUT_HASH = "rollouts-pod-template-hash"
"""Label by which the ReplicaSets of an Argo Rollout select their pods."""
HASH_LABELS = (TEMPLATE_HASH, ROLLOUT_HASH)
ENDED_PHASES = frozenset({"Succeeded", "Failed"})
"""Phases that a pod never leaves. Such a pod may exist for long, as a record."""
RELEASED_HASH = "memroll-released"
"""Template hash of every released pod. It is the same for all, so that one list call finds them."""


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """Reference to an object in the pod's own namespace."""

    api_version: str
    kind: str
    name: str
    uid: str = ""

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


@dataclass(frozen=True, slots=True)
class PodKey:
    """Identity of a pod. The uid distinguishes pods that have the same name one after the other."""

    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class ContainerExit:
    """Exit of the previous instance of a container, which was restarted in place after it ended with an error."""

    id: str
    """The runtime's ID of the ended instance, without its scheme."""
    started_at: datetime
    finished_at: datetime

    @property
    def lifetime_s(self) -> float:
        """Seconds for which the instance was running."""
        return (self.finished_at - self.started_at).total_seconds()


@dataclass(frozen=True, slots=True)
class LoweredLimit:
    """Origin of a limit that counts instead of that of the container."""

    source: str
    """`exhaustion.limit`, or the node's allocatable memory."""
    own_bytes: int | None
    """Memory limit of the container; None without one."""

    def __str__(self) -> str:
        own = "has no limit" if self.own_bytes is None else f"has {self.own_bytes / 2**20:.1f} MiB"
        return f"{self.source}; the container {own}"


@dataclass(frozen=True, slots=True)
class Container:
    """One running container instance; an init container only if it is a native sidecar."""

    name: str
    id: str
    """The runtime's ID without its scheme; empty while the container is not running."""
    limit_bytes: int | None
    """The memory limit in force: that of the status if it has one (in-place resize), else that of the spec; at most
    that of the pod. In an assessment, the one that counts (`detection.effective_limit`)."""
    started_at: datetime | None
    restarts: int = 0
    oom_killed_at: datetime | None = None
    image: str = ""
    ports: tuple[int, ...] = ()
    """The declared TCP ports."""
    lowered: LoweredLimit | None = None
    """Origin of the limit if it is not the container's own; None: it is."""
    last_exit: ContainerExit | None = None
    """Exit of the previous instance; None if there was none, it was OOM-killed, or something else stopped it."""


@dataclass(frozen=True, slots=True)
class Pod:
    """Snapshot of a pod."""

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
    """Only the annotations of memroll.dev and the do-not-disrupt annotations of the autoscalers."""
    containers: tuple[Container, ...] = ()
    limit_bytes: int | None = None
    """Memory limit of the whole pod (`spec.resources`), shared by its containers; None if it has none."""
    exclusive_because: str = ""
    """Reason why a second copy can't run next to the pod ("host port 80", "claim data is ReadWriteOnce"), or empty."""
    not_ready_reason: str = ""
    """Reason in the status why the pod is not Ready ("Unschedulable: 0/1 nodes are available ..."), or empty."""
    unschedulable: bool = False
    """True if the pod has no node: none has room, or a scheduling gate holds the pod (Kueue)."""
    static: bool = False
    """True for the mirror of a static pod: the API server can't evict it."""
    deletion_due_at: datetime | None = None
    """End of the grace period of a pod that is being deleted (`metadata.deletionTimestamp`); None for others."""
    started_at: datetime | None = None
    """Time at which the kubelet accepted the pod; None before that."""
    node: str = ""
    """Name of its node; empty before it is scheduled."""
    ip: str = ""
    """The pod's own IP address; empty while it has none, and for a pod on its host's network."""
    node_pressure_evicted_at: datetime | None = None
    """Time at which the kubelet evicted the pod because its node was low on memory; None for any other pod."""
    owner_references: tuple[Mapping[str, object], ...] = ()
    """All owner references as in the API server's JSON; empty if there are none, or they were not decoded."""
    may_lack_room: bool = True
    """False if a second copy of the pod finds a node as any other pod does: it requests no extended resources, and has
    no required anti-affinity."""

    @property
    def has_ended(self) -> bool:
        """True for a pod that will never run again, as one that the kubelet evicted; its controller ignores it."""
        return self.phase in ENDED_PHASES

    @property
    def released(self) -> bool:
        """True if a roll has released this pod from its ReplicaSet."""
        return self.has_roll_annotation and RELEASED_HASH in self.labels.values()

    @property
    def has_roll_annotation(self) -> bool:
        """True if the pod has the annotation of a roll, even if someone has restored its labels by hand."""
        return ROLL_ANNOTATION in self.annotations


def count_ready(pods: Iterable[Pod]) -> int:
    """Return the number of pods that serve: Ready, and not terminating."""
    return sum(1 for p in pods if p.ready and not p.deleting)


@dataclass(frozen=True, slots=True)
class Workload:
    """Snapshot of a workload: the controller of a pod and, if there is one, the owner of that controller."""

    owner: ObjectRef
    """The Deployment, StatefulSet, DaemonSet or Rollout, or a ReplicaSet without an owner."""
    controller: ObjectRef
    """The controller of the pod: a ReplicaSet under a Deployment or Rollout, else the same as `owner`."""
    controller_replicas: int
    """Desired number of pods of `controller`."""
    replicas: int = 0
    """Desired number of pods of `owner`; differs from `controller_replicas` only during a rollout."""
    hash_label: str = ""
    """Label by which the ReplicaSet selects its pods; empty if the workload can't surge."""
    rollout_in_progress: str = ""
    """Reason why a rollout is in progress, or why the controller is of another revision; or empty."""
    pod_revisions: PodRevisions | None = None
    """Revisions that the pods are compared with; None if the controller has pods of one revision only."""
    owner_rollout_in_progress: str = ""
    """Reason why a rollout of `owner` is in progress, regardless of the pod's revision; or empty."""
    selector: str = ""
    """Label selector of the pods of all revisions, as a query string."""
    controller_uids: frozenset[str] = frozenset()
    """Uids of all controllers of the workload's pods: one, or the ReplicaSets of all revisions."""
    replica_failure: str = ""
    """Reason why the controller can't create pods (an exhausted quota, an admission webhook), or empty."""
    is_supported: bool = True
    """False if memroll can't read the rollouts of this kind of workload."""
    min_ready_s: float = 0.0
    """Seconds for which a pod must be Ready until its controller counts it as available (`minReadySeconds`)."""
    paused: bool = False
    restarted_at: datetime | None = None
    """Time of the last restart by annotation or field; None if there was none."""
    restart_in_progress: str = ""
    """Reason why a restart by field has not reached all pods (Argo Rollouts), or empty. One by annotation is a
    rollout."""
    has_recreate_strategy: bool = False
    """True if the controller ends all old pods before it creates new ones (`strategy: Recreate`)."""
    do_not_disrupt: str | None = None
    """Do-not-disrupt annotation of `owner`, cut to `MAX_MARK_CHARS`; None without one."""
    must_not_surge_because: str = ""
    """Reason why its spec forbids more pods than its replicas (`maxSurge: 0`), or empty."""

    @property
    def can_readopt(self) -> bool:
        """True if the controller can readopt a released pod: to keep it, or to delete it at zero replicas."""
        return self.controller_replicas > 0 or self.replicas == 0

    def rollout_of(self, pod: Pod) -> str:
        """Return why a rollout of the workload is in progress, or would change this pod's revision; or empty."""
        revisions = self.pod_revisions
        if self.rollout_in_progress or revisions is None:
            return self.rollout_in_progress
        return revisions.describe(pod.key.name, pod.labels)
