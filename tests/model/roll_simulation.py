"""Simulation of rolls: a workload, two processes of memroll, users and failures, with one method for each event.

An event that is not applicable at the moment does nothing, so that any sequence of events is valid.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from memroll.api.pod_roll import PodRoll
from memroll.api.policy import MemoryPolicy
from memroll.detection.samples import PrefilterResult, QueryResult
from memroll.reconcile.roll import StepContext, advance
from memroll.reconcile.roll_bug import record_bug
from memroll.rolling.orphans import restore_orphans
from memroll.rolling.protocols import Clients
from tests.builders import policy_json
from tests.contract.cluster.api_semantics import RefusedError
from tests.model.cluster import NAMESPACE, ModelCluster
from tests.model.evictions import evict
from tests.model.invariants import FINAL, PROCESS_PREFIX, InvariantChecker, has_traces
from tests.model.objects import (
    APP,
    HASH_LABEL,
    Json,
    annotations_of,
    budget,
    deployment,
    is_deleting,
    labels_of,
    name_of,
    owners_of,
    pod_template,
    quota,
    service,
    uid_of,
)
from tests.model.simulated_process import BugError, SimulatedProcess

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memroll.clients.kube.cluster import KubeCluster
    from memroll.detection.extremes import Extremes

POLICY = "leaky"
RELEASED_FROM = "memroll.dev/released-from"
ROLL_ANNOTATION = "memroll.dev/roll"
TIMEOUT_S = 8
"""Replacement timeout of the rolls in seconds."""
MAX_ROUNDS = 120
SECONDS_WITH_BUG = 60
"""Seconds between two attempts of a step that ends with a bug."""
ORPHANS_EVERY = 10
"""Number of rounds between two restores of orphaned pods."""


@dataclass
class RollSimulation:
    """One Deployment and two processes of memroll."""

    replicas: int = 1
    spare_capacity: int = 1
    """Number of pods for which there is room in addition to the replicas."""
    budget_spec: Json = field(default_factory=dict)
    uninstalling: str = ""
    in_flight: float | None = None
    """Requests in flight on a draining pod; None: unknown."""
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    def __post_init__(self) -> None:
        self.cluster = ModelCluster.with_nodes(self.replicas + self.spare_capacity, 1 if self.spare_capacity > 1 else 0)
        self.server = self.cluster.server
        self._create("deployments", deployment("chat", self.replicas))
        self._create("services", service("chat"))
        self._create("memorypolicies", policy_json({"mode": "Enforce", "selector": {"matchLabels": {"app": "chat"}}}))
        if self.budget_spec:
            self._create("poddisruptionbudgets", budget("chat", **self.budget_spec))
        self.cluster.settle()
        self.checker = InvariantChecker(self.cluster, NAMESPACE)
        self.processes = [SimulatedProcess(f"{PROCESS_PREFIX}{number}", self.server, self.loop) for number in range(2)]
        self._created_rolls = 0

    def close(self) -> None:
        for process in self.processes:
            process.kill(executed=False)
        self.loop.close()

    # Actions of memroll.

    def begin_step(self, process: int, index: int) -> None:
        """Start a step of a roll, or a restore of orphaned pods, and continue until its first write."""
        chosen_process = self.processes[process]
        if not chosen_process.is_busy:
            names = ["", *(name_of(r) for r in self.list_rolls())]
            self._begin(chosen_process, names[index % len(names)])
        chosen_process.send_all(until_write=True)

    def _begin(self, process: SimulatedProcess, roll: str) -> None:
        self.checker.begin(process.name, roll)
        process.begin(roll or "restore_orphans", lambda cluster: self._step(cluster, process, roll))

    async def _step(self, cluster: KubeCluster, process: SimulatedProcess, name: str) -> None:
        raw = await cluster.get_roll(NAMESPACE, name) if name else None
        if raw is None:
            await restore_orphans(cluster, (NAMESPACE,), lambda: process.is_leader)
            return
        roll = PodRoll.read(raw)
        if not roll.active:
            return
        policy = await cluster.get_policy(NAMESPACE, roll.spec.policy) if roll.spec.policy else None
        context = StepContext(leads=lambda: process.is_leader, uninstalling=self.uninstalling, memory=process.memory)
        policy_model = MemoryPolicy.read(policy) if policy else None
        try:
            await advance(roll, policy_model, Clients(cluster, self), self.server.now, context)
        except BugError as bug:
            ended = await record_bug((NAMESPACE, name), bug, cluster, self.server.now, context)
            if ended is not None and not ended.roll.active:
                await restore_orphans(cluster, (NAMESPACE,), lambda: process.is_leader)

    async def read_gauge(self, connection: str, namespace: str, pod: str, metric: str, since_s: float) -> float | None:
        """Return the requests in flight on a draining pod, as Prometheus does."""
        return self.in_flight

    async def read(self, *_: Any, **__: Any) -> QueryResult:
        """Return no samples: only the requests of a capture matter, not its result."""
        return QueryResult((), self.server.seconds)

    async def prefilter(self, *_: Any, **__: Any) -> PrefilterResult:
        raise NotImplementedError("a roll runs no prefilter")

    async def read_extremes(self, *_: Any, **__: Any) -> Extremes:
        raise NotImplementedError("a roll reads no long history")

    def send_next_request(self, process: int) -> None:
        """Execute the next request of a step."""
        if self.processes[process].is_busy:
            self.processes[process].send_next()

    def finish_step(self, process: int) -> None:
        self.processes[process].send_all()

    def step(self, process: int, index: int) -> None:
        """Make a whole step, or complete the current one."""
        self.begin_step(process, index)
        self.finish_step(process)

    def continue_rolls(self, process: int, times: int) -> None:
        """Run rounds of the cluster and steps of the first roll in turn, as without events."""
        self.finish_step(process)
        for _ in range(times):
            self.cluster.run_round()
            self.step(process, 1)

    def lose_request(self, process: int, executed: bool) -> None:  # noqa: FBT001 - a drawn value
        """Let the next request fail, executed or not."""
        if self.processes[process].is_busy:
            self.processes[process].lose_next(executed=executed)

    def kill(self, process: int, executed: bool) -> None:  # noqa: FBT001 - a drawn value
        """Kill a process before or after the execution of its next request."""
        self.processes[process].kill(executed=executed)

    def uninstall(self) -> None:
        """Uninstall memroll: the second process rolls back every roll after the first has lost the Lease."""
        self.finish_step(0)
        self.processes[0].is_leader, self.uninstalling = False, "memroll is being uninstalled"

    def break_method(self, process: int, method: str, executed: bool) -> None:  # noqa: FBT001 - a drawn value
        """Give a process a bug in a method of its client."""
        self.processes[process].break_method(method, executed=executed)

    def mend(self, process: int) -> None:
        """Remove the bug of a process."""
        self.processes[process].mend()

    def set_leader(self, process: int, is_leader: bool) -> None:  # noqa: FBT001 - a drawn value
        self.processes[process].is_leader = is_leader and not (self.uninstalling and process == 0)

    # Actions of users on memroll's objects.

    def create_roll(self, index: int, strategy: str, **options: Any) -> None:
        """Create a PodRoll of one of the pods: by a policy or by hand, with or without a drain, urgent or not."""
        pods = self.cluster.list_pods()
        if not pods or not self._has_namespace():
            return
        pod = pods[index % len(pods)]
        self._created_rolls += 1
        spec: Json = {"podName": name_of(pod), "strategy": strategy, "replacementTimeoutSeconds": TIMEOUT_S}
        if options.get("by_policy"):
            spec |= {"podUID": uid_of(pod), "policy": POLICY}
        if options.get("drain"):
            spec["drain"] = {"mode": "Detach", "minDuration": "2s", "timeout": "6s"}
        if options.get("drain") == "idle":
            spec["drain"]["until"] = {"metric": "requests"}
        if options.get("urgent"):
            spec["trigger"] = {"container": "chat", "usageBytes": 1, "timeToLimitSeconds": 60} | _started(pod)
        body = {
            "apiVersion": "memroll.dev/v1alpha1",
            "kind": "PodRoll",
            "metadata": {"name": f"roll-{self._created_rolls}"},
        }
        self._create("podrolls", body | {"spec": spec})

    def set_load(self, in_flight: float | None) -> None:
        """Set the requests in flight on draining pods."""
        self.in_flight = in_flight

    def cancel_roll(self, index: int) -> None:
        for roll in _pick(self.list_rolls(), index):
            self.server.update("podrolls", roll, {"spec": {"cancel": True}})

    def delete_roll(self, index: int) -> None:
        for roll in _pick(self.list_rolls(), index):
            self.server.delete("podrolls", roll)

    def change_policy(self, **spec: Any) -> None:
        """Change the policy; delete it if no field is given."""
        for policy in self.server.list("memorypolicies"):
            if spec:
                self.server.update("memorypolicies", policy, {"spec": spec})
            else:
                self.server.delete("memorypolicies", policy)

    # Actions of users and failures of the cluster.

    def scale(self, replicas: int) -> None:
        for old in self.server.list("deployments"):
            self.server.update("deployments", old, {"spec": {"replicas": replicas}})

    def roll_out(self, image: str) -> None:
        """Change the template of the Deployment to a new or an earlier one."""
        for old in self.server.list("deployments"):
            self.server.update("deployments", old, {"spec": {"template": pod_template(image)}})

    def set_budget(self, **spec: Any) -> None:
        """Replace the PodDisruptionBudget; delete it if no field is given."""
        for old in self.server.list("poddisruptionbudgets"):
            self.server.delete("poddisruptionbudgets", old)
        if spec and self._has_namespace():
            self._create("poddisruptionbudgets", budget("chat", **spec))

    def set_second_budget(self, exists: bool) -> None:  # noqa: FBT001 - a drawn value
        """Create or delete a second PodDisruptionBudget: with two, the API server evicts no pod."""
        for old in self.server.list("poddisruptionbudgets"):
            if name_of(old) == "second":
                self.server.delete("poddisruptionbudgets", old)
        if exists and self._has_namespace():
            self._create("poddisruptionbudgets", budget("second", maxUnavailable=1))

    def set_quota(self, pods: int | None) -> None:
        """Set a quota, or delete it."""
        for old in self.server.list("resourcequotas"):
            self.server.delete("resourcequotas", old)
        if pods is not None and self._has_namespace():
            self._create("resourcequotas", quota("pods", pods))

    def cordon(self, cordoned: bool) -> None:  # noqa: FBT001 - a drawn value
        for node in self.server.list("nodes"):
            self.server.update("nodes", node, {"spec": {"unschedulable": cordoned or None}})

    def drain_node(self, index: int) -> None:
        """Cordon all nodes and evict a pod, as a drain does repeatedly."""
        self.cordon(cordoned=True)
        self.evict(index)

    def evict(self, index: int) -> None:
        for pod in _pick(self.cluster.list_undeleted_pods(), index):
            try:
                evict(self.server, NAMESPACE, name_of(pod), {})
            except RefusedError:
                continue

    def delete_pod(self, index: int) -> None:
        for pod in _pick(self.cluster.list_undeleted_pods(), index):
            self.server.delete("pods", pod)

    def recreate_pod(self, index: int) -> None:
        """Replace a pod by another one of the same name, as a StatefulSet does."""
        for pod in _pick(self.cluster.list_pods(), index):
            self.server.remove("pods", pod)
            owners = [o for o in owners_of(pod) if o.get("controller")]
            labels = APP | {HASH_LABEL: annotations_of(pod).get(RELEASED_FROM, labels_of(pod)[HASH_LABEL])}
            with suppress(RefusedError):  # by a quota or by a terminating namespace
                meta = {"name": name_of(pod), "labels": labels, "ownerReferences": owners}
                self._create("pods", pod | {"metadata": meta})

    def set_new_pod_image(self, image: str) -> None:
        """Set the image that determines the behavior of pods started from now on."""
        self.cluster.kubelet.new_pod_image = image

    def set_pod_unready(self, index: int, unready: bool) -> None:  # noqa: FBT001 - a drawn value
        """Let the readiness probe of a pod fail or succeed."""
        for pod in _pick(self.cluster.list_undeleted_pods(), index):
            change = self.cluster.kubelet.unready.add if unready else self.cluster.kubelet.unready.discard
            change(uid_of(pod))

    def set_pod_stuck(self, index: int, stuck: bool) -> None:  # noqa: FBT001 - a drawn value
        """Let a pod never finish terminating, as on a lost node or with a finalizer; or let it finish."""
        for pod in _pick(self.cluster.list_pods(), index):
            change = self.cluster.kubelet.stuck.add if stuck else self.cluster.kubelet.stuck.discard
            change(uid_of(pod))

    def restart_container(self, index: int) -> None:
        for pod in _pick(self.cluster.list_undeleted_pods(), index):
            self.cluster.kubelet.restart_container(self.server, pod)

    def annotate_pod(self, index: int) -> None:
        """Change a pod in a way that does not concern memroll."""
        for pod in _pick(self.cluster.list_undeleted_pods(), index):
            self.server.update("pods", pod, {"metadata": {"annotations": {"seen": str(self.server.version)}}})

    def restore_label_by_hand(self, index: int) -> None:
        """Restore the label of a released pod, as a person does by hand."""
        released = [p for p in self.cluster.list_undeleted_pods() if RELEASED_FROM in annotations_of(p)]
        for pod in _pick(released, index):
            old = annotations_of(pod)[RELEASED_FROM]
            self.server.update("pods", pod, {"metadata": {"labels": {HASH_LABEL: old}}})

    def delete_deployment(self, recreate: bool) -> None:  # noqa: FBT001 - a drawn value
        """Delete the Deployment, or replace it by another one of the same name."""
        for old in self.server.list("deployments"):
            self.server.delete("deployments", old)
            if recreate and self._has_namespace():
                self._create("deployments", deployment("chat", int(old["spec"]["replicas"])))

    def delete_namespace(self) -> None:
        for namespace in self.server.list("namespaces"):
            self.server.delete("namespaces", namespace)

    # Work of the cluster.

    def run_controller(self, controller: str) -> None:
        self.cluster.run_controller(controller)

    def run_rounds(self, number: int) -> None:
        for _ in range(number):
            self.cluster.run_round()

    def advance_time(self, seconds: int) -> None:
        """Advance the clock without running a controller."""
        self.server.seconds += seconds

    # The final state.

    def list_rolls(self) -> list[Json]:
        return self.server.list("podrolls", NAMESPACE)

    def list_active_rolls(self) -> list[Json]:
        return [r for r in self.list_rolls() if r.get("status", {}).get("phase") not in FINAL]

    def run_until_settled(self) -> None:
        """Run one process and the cluster without further events until every roll has ended."""
        last, other = reversed(self.processes) if self.uninstalling else self.processes
        last.is_leader = True
        other.kill(executed=False)
        other.mend()
        self.checker.end(other.name)
        last.send_all()
        for number in range(MAX_ROUNDS):
            self.cluster.run_round()
            if last.broken:
                self.server.seconds += SECONDS_WITH_BUG
            for roll in self.list_active_rolls():
                self._run_step(last, name_of(roll))
            if not self.list_active_rolls():
                last.mend()  # every roll ends with the bug, and a released pod is restored at the latest without it
            if number % ORPHANS_EVERY == 0:
                self._run_step(last, "")
            if not self.list_active_rolls() and not any(map(has_traces, self.cluster.list_undeleted_pods())):
                break
        self.cluster.settle()

    def _run_step(self, process: SimulatedProcess, roll: str) -> None:
        self._begin(process, roll)
        process.send_all()

    def _has_namespace(self) -> bool:
        return any(not is_deleting(n) for n in self.server.list("namespaces"))

    def _create(self, plural: str, obj: Json) -> Json:
        return self.server.create(plural, NAMESPACE, obj)


def _started(pod: Json) -> Json:
    """Return the start time of a pod's container as a field of a trigger."""
    statuses = pod.get("status", {}).get("containerStatuses", ())
    started = next((s["state"]["running"]["startedAt"] for s in statuses if "running" in s["state"]), None)
    return {"containerStarted": started} if started else {}


def _pick(objects: Sequence[Json], index: int) -> Sequence[Json]:
    """Return one of the objects in a list, or an empty list if there is none."""
    return [objects[index % len(objects)]] if objects else []
