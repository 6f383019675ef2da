"""A workload, memroll's processes and everybody else: what can happen to a roll, one method for each event.

An event that makes no sense at the moment does nothing, so that any row of events is a story.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from memroll.api.pod_roll import PodRoll
from memroll.api.policy import MemoryPolicy
from memroll.detection.samples import Reading, Screening
from memroll.reconcile.roll import Mandate, Ports, advance
from memroll.rolling.orphans import sweep
from tests.builders import policy_json
from tests.contract.cluster.semantics import Refused
from tests.model.cluster import NAMESPACE, ModelCluster
from tests.model.evictions import evict
from tests.model.objects import (
    APP,
    HASH_LABEL,
    Json,
    annotations_of,
    budget,
    controller_uid,
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
from tests.model.process import Process
from tests.model.witness import FINAL, MEMROLL, Witness, is_marked, marks_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memroll.clients.kube.cluster import Cluster

POLICY = "leaky"
FROM = "memroll.dev/released-from"
ROLL = "memroll.dev/roll"
TIMEOUT_S = 8
"""How long a roll waits for its replacement."""
ROUNDS_MAX = 120
SWEPT_EVERY = 10


@dataclass
class World:
    """One Deployment under two processes of memroll."""

    replicas: int = 1
    slack: int = 1
    """Room for so many pods beside the wanted ones."""
    protection: Json = field(default_factory=dict)
    retiring: str = ""
    busy: float | None = None
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    def __post_init__(self) -> None:
        self.cluster = ModelCluster.with_room_for(self.replicas + self.slack, 1 if self.slack > 1 else 0)
        self.server = self.cluster.server
        self._put("deployments", deployment("chat", self.replicas))
        self._put("services", service("chat"))
        self._put("memorypolicies", policy_json({"mode": "Enforce", "selector": {"matchLabels": {"app": "chat"}}}))
        if self.protection:
            self._put("poddisruptionbudgets", budget("chat", **self.protection))
        self.cluster.settle()
        self.witness = Witness(self.cluster, NAMESPACE)
        self.processes = [Process(f"{MEMROLL}{number}", self.server, self.loop) for number in range(2)]
        self._made = 0

    def close(self) -> None:
        for process in self.processes:
            process.die(landed=False)
        self.loop.close()

    # what memroll does

    def begin(self, process: int, pick: int) -> None:
        """Start a step of one of the rolls, or a sweep, up to the first thing that it would write."""
        chosen = self.processes[process]
        if not chosen.busy:
            names = ["", *(name_of(r) for r in self.rolls())]
            self._begin(chosen, names[pick % len(names)])
        chosen.ask_all(until_write=True)

    def _begin(self, process: Process, roll: str) -> None:
        self.witness.begin(process.name, roll)
        process.begin(roll or "sweep", lambda cluster: self._step(cluster, process, roll))

    async def _step(self, cluster: Cluster, process: Process, name: str) -> None:
        raw = await cluster.roll(NAMESPACE, name) if name else None
        if raw is None:
            await sweep(cluster, (NAMESPACE,), lambda: process.leads)
            return
        roll = PodRoll.read(raw)
        if not roll.active:
            return
        policy = await cluster.policy(NAMESPACE, roll.spec.policy) if roll.spec.policy else None
        mandate = Mandate(leads=lambda: process.leads, retiring=self.retiring)
        known = MemoryPolicy.read(policy) if policy else None
        await advance(roll, known, Ports(cluster, self), self.server.now, mandate)

    async def in_flight(self, connection: str, namespace: str, pod: str, metric: str, since_s: float) -> float | None:
        """Say how busy a draining pod is, as Prometheus would."""
        return self.busy

    async def read(self, *_: Any, **__: Any) -> Reading:
        """Know no samples: capturing evidence costs calls, and nothing depends on what comes of them."""
        return Reading((), self.server.seconds)

    async def screen(self, *_: Any, **__: Any) -> Screening:
        raise NotImplementedError("a roll screens nothing")

    def ask(self, process: int) -> None:
        """Let one call of a step through."""
        if self.processes[process].busy:
            self.processes[process].ask()

    def finish(self, process: int) -> None:
        self.processes[process].ask_all()

    def step(self, process: int, pick: int) -> None:
        """Make a whole step, or go on with one to its end."""
        self.begin(process, pick)
        self.finish(process)

    def go_on(self, process: int, times: int) -> None:
        """Let the cluster and the first roll take turns, as they do when nothing happens."""
        self.finish(process)
        for _ in range(times):
            self.cluster.round()
            self.step(process, 1)

    def lose(self, process: int, landed: bool) -> None:  # noqa: FBT001 - a drawn value
        """Let a call fail, carried out or not."""
        if self.processes[process].busy:
            self.processes[process].lose(landed=landed)

    def die(self, process: int, landed: bool) -> None:  # noqa: FBT001 - a drawn value
        """Kill a process, before or after its next call is carried out."""
        self.processes[process].die(landed=landed)

    def retire(self) -> None:
        """Uninstall memroll: the second process takes every roll back, once the first can't act any more."""
        self.finish(0)
        self.processes[0].leads, self.retiring = False, "memroll is being uninstalled"

    def lead(self, process: int, leads: bool) -> None:  # noqa: FBT001 - a drawn value
        self.processes[process].leads = leads and not (self.retiring and process == 0)

    # what people do with memroll

    def roll(self, pick: int, strategy: str, **more: Any) -> None:
        """Record a roll of one of the pods: by a policy or by hand, with or without a drain, urgent or not."""
        pods = self.cluster.pods()
        if not pods or not self._exists():
            return
        pod = pods[pick % len(pods)]
        self._made += 1
        spec: Json = {"podName": name_of(pod), "strategy": strategy, "replacementTimeoutSeconds": TIMEOUT_S}
        if more.get("by_policy"):
            spec |= {"podUID": uid_of(pod), "policy": POLICY}
        if more.get("drain"):
            spec["drain"] = {"mode": "Detach", "wait": "2s", "timeout": "6s"}
        if more.get("drain") == "idle":
            spec["drain"]["until"] = {"metric": "requests"}
        if more.get("urgent"):
            spec["finding"] = {"container": "chat", "usageBytes": 1, "timeToLimitSeconds": 60}
        body = {"apiVersion": "memroll.dev/v1alpha1", "kind": "PodRoll", "metadata": {"name": f"roll-{self._made}"}}
        self._put("podrolls", body | {"spec": spec})

    def load(self, in_flight: float | None) -> None:
        """Let draining pods be as busy as that, or let it not be known."""
        self.busy = in_flight

    def veto(self, pick: int) -> None:
        for roll in _picked(self.rolls(), pick):
            self.server.update("podrolls", roll, {"spec": {"veto": True}})

    def delete_roll(self, pick: int) -> None:
        for roll in _picked(self.rolls(), pick):
            self.server.delete("podrolls", roll)

    def policy(self, **spec: Any) -> None:
        """Change the policy; without a change, delete it."""
        for policy in self.server.list("memorypolicies"):
            if spec:
                self.server.update("memorypolicies", policy, {"spec": spec})
            else:
                self.server.delete("memorypolicies", policy)

    # what people and machines do with the workload

    def scale(self, replicas: int) -> None:
        for top in self.server.list("deployments"):
            self.server.update("deployments", top, {"spec": {"replicas": replicas}})

    def roll_out(self, image: str) -> None:
        """Give the Deployment another template, or back the one that it had."""
        for top in self.server.list("deployments"):
            self.server.update("deployments", top, {"spec": {"template": pod_template(image)}})

    def protect(self, **spec: Any) -> None:
        """Put another budget in the place of the one there is; without a field, take it away."""
        for old in self.server.list("poddisruptionbudgets"):
            self.server.delete("poddisruptionbudgets", old)
        if spec and self._exists():
            self._put("poddisruptionbudgets", budget("chat", **spec))

    def limit(self, pods: int | None) -> None:
        """Set a quota, or take it away."""
        for old in self.server.list("resourcequotas"):
            self.server.delete("resourcequotas", old)
        if pods is not None and self._exists():
            self._put("resourcequotas", quota("pods", pods))

    def cordon(self, closed: bool) -> None:  # noqa: FBT001 - a drawn value
        for each in self.server.list("nodes"):
            self.server.update("nodes", each, {"spec": {"unschedulable": closed or None}})

    def drain_node(self, pick: int) -> None:
        """Cordon all nodes and evict a pod, as a drain does again and again."""
        self.cordon(closed=True)
        self.evict(pick)

    def evict(self, pick: int) -> None:
        for pod in _picked(self.cluster.living(), pick):
            try:
                evict(self.server, NAMESPACE, name_of(pod), {})
            except Refused:
                continue

    def delete_pod(self, pick: int) -> None:
        for pod in _picked(self.cluster.living(), pick):
            self.server.delete("pods", pod)

    def reborn(self, pick: int) -> None:
        """Let another pod of the same name stand in a pod's place, as a StatefulSet's does."""
        for pod in _picked(self.cluster.pods(), pick):
            self.server.remove("pods", pod)
            owners = [o for o in owners_of(pod) if o["kind"] != "PodRoll"]
            labels = APP | {HASH_LABEL: annotations_of(pod).get(FROM, labels_of(pod)[HASH_LABEL])}
            with suppress(Refused):  # by a quota, or because the namespace is going
                meta = {"name": name_of(pod), "labels": labels, "ownerReferences": owners}
                self._put("pods", pod | {"metadata": meta})

    def newcomers(self, fate: str) -> None:
        """Decide what comes of pods that start from now on."""
        self.cluster.kubelet.newcomers = fate

    def sicken(self, pick: int, sick: bool) -> None:  # noqa: FBT001 - a drawn value
        """Let the readiness probe of a pod fail, or succeed again."""
        for pod in _picked(self.cluster.living(), pick):
            change = self.cluster.kubelet.sick.add if sick else self.cluster.kubelet.sick.discard
            change(uid_of(pod))

    def restart(self, pick: int) -> None:
        for pod in _picked(self.cluster.living(), pick):
            self.cluster.kubelet.restart(self.server, pod)

    def touch(self, pick: int) -> None:
        """Let someone else write something about a pod that is none of memroll's business."""
        for pod in _picked(self.cluster.living(), pick):
            self.server.update("pods", pod, {"metadata": {"annotations": {"seen": str(self.server.version)}}})

    def label_back(self, pick: int) -> None:
        """Let a person put the label of a released pod back by hand."""
        marked = [p for p in self.cluster.living() if FROM in annotations_of(p)]
        for pod in _picked(marked, pick):
            old = annotations_of(pod)[FROM]
            self.server.update("pods", pod, {"metadata": {"labels": {HASH_LABEL: old}}})

    def delete_deployment(self, again: bool) -> None:  # noqa: FBT001 - a drawn value
        """Delete the Deployment, or put another one of its name in its place."""
        for top in self.server.list("deployments"):
            self.server.delete("deployments", top)
            if again and self._exists():
                self._put("deployments", deployment("chat", int(top["spec"]["replicas"])))

    def delete_namespace(self) -> None:
        for namespace in self.server.list("namespaces"):
            self.server.delete("namespaces", namespace)

    # the cluster's own work

    def run(self, controller: str) -> None:
        self.cluster.run(controller)

    def rounds(self, number: int) -> None:
        for _ in range(number):
            self.cluster.round()

    def wait(self, seconds: int) -> None:
        """Let time pass while every controller lags behind."""
        self.server.seconds += seconds

    # the end

    def rolls(self) -> list[Json]:
        return self.server.list("podrolls", NAMESPACE)

    def active(self) -> list[Json]:
        return [r for r in self.rolls() if r.get("status", {}).get("phase") not in FINAL]

    def calm_down(self) -> None:
        """Nothing is disturbed any more: one process is left, and it and the cluster work on until all is done."""
        last, other = reversed(self.processes) if self.retiring else self.processes
        last.leads = True
        other.die(landed=False)
        self.witness.end(other.name)
        last.ask_all()
        for number in range(ROUNDS_MAX):
            self.cluster.round()
            for roll in self.active():
                self._whole(last, name_of(roll))
            if number % SWEPT_EVERY == 0:
                self._whole(last, "")
            if not self.active() and not any(map(is_marked, self.cluster.living())):
                break
        self.cluster.settle()

    def _whole(self, process: Process, roll: str) -> None:
        self._begin(process, roll)
        process.ask_all()

    def strays(self) -> list[str]:
        """Return the living pods that memroll has left behind, each with what tells: its marks, or no owner."""
        found = []
        for pod in self.cluster.living():
            touched = uid_of(pod) in self.witness.touched
            if touched and not self.is_hopeless(pod) and not self.is_put_back_by_hand(pod):
                traces = marks_of(pod) + ([] if controller_uid(pod) else ["nobody's"])
                found += [f"{name_of(pod)}: {', '.join(traces)}"] if traces else []
        return found

    def is_put_back_by_hand(self, pod: Json) -> bool:
        """Whether a person put its label back and deleted its roll: only notes are left, which nothing goes by."""
        rolls = {name_of(r) for r in self.server.list("podrolls")}
        at_home = labels_of(pod).get(HASH_LABEL) == annotations_of(pod).get(FROM)
        return bool(controller_uid(pod)) and at_home and annotations_of(pod).get(ROLL) not in rolls

    def is_hopeless(self, pod: Json) -> bool:
        """Whether memroll can do nothing about a pod: its ReplicaSet is gone, and a budget forbids its eviction."""
        if self.witness.home_of(pod) in {uid_of(r) for r in self.server.list("replicasets")}:
            return False
        budgets = self.server.list("poddisruptionbudgets")
        return any(b.get("status", {}).get("disruptionsAllowed", 0) == 0 for b in budgets)

    def _exists(self) -> bool:
        return any(not is_deleting(n) for n in self.server.list("namespaces"))

    def _put(self, plural: str, obj: Json) -> Json:
        return self.server.create(plural, NAMESPACE, obj)


def _picked(among: Sequence[Json], pick: int) -> Sequence[Json]:
    """Return one of them, or none of none."""
    return [among[pick % len(among)]] if among else []
