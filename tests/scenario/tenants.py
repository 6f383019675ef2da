"""Forty tenants and a hostile one in one operator process, in virtual time, with one processor core.

The controllers, their work queues and capture slots are the real ones, connected as in `controller.manager`. Requests
take virtual time and computing shares one core: a reconcile costs 0.15 s of it, as the target of docs/scale.md is.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from memroll.controller.capture_slots import CaptureSlots
from memroll.controller.connection_lanes import ConnectionLanes
from memroll.controller.key import Key
from memroll.controller.manager import build_policy_queue, build_roll_queue
from memroll.controller.manual_rolls import ManualRolls
from memroll.controller.policy_controller import PolicyController
from memroll.controller.roll_controller import RollController
from memroll.errors import PrometheusUnavailableError
from memroll.model.pods import PodKey
from tests.builders import at, line, pod, policy_json, roll_json
from tests.fakes import FakeCluster, FakePrometheus
from tests.kstatus import is_reconciled
from tests.scenario.simulation import controllers
from tests.scenario.virtual_time import Processor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from memroll.controller.workqueue import WorkQueue

VICTIMS = tuple(f"team-{i}" for i in range(40))
HOSTILE = "hostile"
HOSTILE_POLICIES = 50
HOSTILE_REPLICAS = 60
INTERVAL_S = 30.0
PASS_CPU_S, QUERY_S = 0.15, 0.3
CALL_CPU_S, CALL_S = 0.002, 0.01
FAT_CPU_S = 0.002
"""Processor time for decoding an object with an annotation of 256 KiB, as each of the hostile tenant's has."""
TIMEOUT_S = 20.0
"""Time after which a query of the hanging connection fails."""
SPEC = {"mode": "Observe", "interval": "30s", "growth": {"window": "1h"}}


class Tenant(FakeCluster):
    """Namespace of one workload. Policies whose selector names an application watch one pod of it."""

    def __init__(self, namespace: str, replicas: int) -> None:
        super().__init__(replicas, name=(namespace, "app"))

    async def list_pods(self, namespace: str, selector: str) -> Any:
        app = selector.partition("=")[2]
        if app == self.app:
            return await super().list_pods(namespace, selector)
        name = f"{app}-1"
        return (replace(pod(name, labels={"app": app}), key=PodKey(namespace, name, f"uid-{namespace}-{name}")),)


class SlowTenant(Tenant):
    """Tenant whose pods' logs never come, so that each capture takes all of its time."""

    async def read_logs(self, *_: Any, **__: Any) -> tuple[str, ...]:
        await asyncio.Event().wait()
        return ()


@dataclass
class Measured:
    """Times of the victims, in seconds."""

    periods_s: list[float] = field(default_factory=list)
    """Times between the ends of two reconciles of a policy."""
    reconciles_s: list[float] = field(default_factory=list)
    """Durations of reconciles."""
    changes_s: list[float] = field(default_factory=list)
    """Times from a change of a policy to the end of the reconcile that reads it."""
    rolls_s: list[float] = field(default_factory=list)
    """Durations of rolls."""
    hostile_reconciles: int = 0
    busy_ratio: float = 0.0
    """Busy time of the core."""


class Cluster:
    """API server of all namespaces: each call goes to its tenant, and takes time."""

    def __init__(self, core: Processor, tenants: dict[str, FakeCluster]) -> None:
        self.core, self.tenants = core, tenants

    @property
    def seconds(self) -> float:
        return asyncio.get_running_loop().time()

    def __getattr__(self, call: str) -> Any:
        async def forward(*args: Any, **named: Any) -> Any:
            namespace = self._namespace_of(call, args)
            async with self.core.call(CALL_S, CALL_CPU_S + (FAT_CPU_S if namespace == HOSTILE else 0.0)):
                return await getattr(self.tenants[namespace], call)(*args, **named)

        return forward

    def _namespace_of(self, call: str, args: tuple[Any, ...]) -> str:
        first = args[1] if call in ("write_status", "list_workload_pods") else args[0]
        return str(first) if isinstance(first, str) else str(first.key.namespace)

    async def list_policies(self, namespaces: Any) -> Any:
        return await self.tenants[namespaces[0]].list_policies(namespaces)

    async def list_rolls(self, namespace: str) -> tuple[dict[str, Any], ...]:
        """Return nothing of the hostile tenant: what lists of its objects cost is not measured here."""
        return () if namespace in ("", HOSTILE) else await self.tenants[namespace].list_rolls(namespace)

    async def iterate_rolls(self, namespace: str) -> AsyncIterator[dict[str, Any]]:
        """Yield nothing of the hostile tenant, like `list_rolls`."""
        async with self.core.call(CALL_S, CALL_CPU_S):
            for raw in await self.list_rolls(namespace):
                yield raw

    async def list_node_memory(self) -> dict[str, int]:
        return {}


class Prometheus:
    """Two connections: one answers, one never does."""

    def __init__(self, core: Processor) -> None:
        self.core, self.series = core, FakePrometheus({"id-app-1": line(0.0, ahead_s=3600)})

    async def prefilter(self, connection: str, *args: Any) -> Any:
        if connection == "hangs":
            await asyncio.sleep(TIMEOUT_S)
            raise PrometheusUnavailableError("QueryTimeout", "no complete response")
        async with self.core.call(QUERY_S, PASS_CPU_S):
            return await self.series.prefilter(connection, *args)

    def __getattr__(self, call: str) -> Any:
        return getattr(self.series, call)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, in virtual time."""
    while not condition():  # noqa: ASYNC110 - any condition, not only one that sets an event
        await asyncio.sleep(0.05)


class Operator:
    """One process over all tenants."""

    def __init__(self, max_manual_rolls: int) -> None:
        loop = asyncio.get_running_loop()
        self.core = Processor()
        self.tenants: dict[str, FakeCluster] = {name: Tenant(name, 2) for name in VICTIMS}
        self.tenants[HOSTILE] = SlowTenant(HOSTILE, HOSTILE_REPLICAS)
        for name in VICTIMS:
            self.apply(Key(name, "app"), "app")
        self.measured = Measured()
        self._ends: dict[Key, list[tuple[float, float]]] = defaultdict(list)
        cluster = Cluster(self.core, self.tenants)
        made = controllers(cluster, Prometheus(self.core), now=lambda: at(loop.time())).context
        lanes = ConnectionLanes({"default", "hangs"}.__contains__)
        policies = PolicyController(made, self._enqueue_roll, lanes=lanes)
        captures = CaptureSlots(self._enqueue_roll)
        rolls = RollController(made, self._enqueue_policy, ManualRolls(max_manual_rolls), captures)
        self.policies: WorkQueue = build_policy_queue(policies, 4, loop.time)
        self.policies._handler = self._measuring(policies)
        self.rolls: WorkQueue = build_roll_queue(rolls, loop.time)

    def _enqueue_policy(self, key: Key) -> None:
        self.policies.enqueue(key)

    def _enqueue_roll(self, key: Key) -> None:
        self.rolls.enqueue(key)

    def apply(self, key: Key, app: str, **spec: Any) -> None:
        """Create or change a policy, as the API server does."""
        stored = self.tenants[key.namespace].policies_json
        old = stored.get(key.name, {"metadata": {"generation": 0, "resourceVersion": "0"}})["metadata"]
        versions = {"generation": old["generation"] + 1, "resourceVersion": str(int(old["resourceVersion"]) + 1)}
        names = {"namespace": key.namespace, "uid": f"{key.namespace}-{key.name}"}
        raw = policy_json(SPEC | {"selector": {"matchLabels": {"app": app}}} | spec, key.name, **versions, **names)
        stored[key.name] = raw | {"status": stored.get(key.name, {}).get("status", {})}

    def create_roll(self, namespace: str, name: str, pod_name: str, **spec: Any) -> None:
        """Create a PodRoll by hand."""
        tenant, now = self.tenants[namespace], asyncio.get_running_loop().time()
        found = tenant.pods[pod_name]
        by_hand = {"policy": "", "reason": "", "podName": pod_name, "podUID": found.key.uid}
        raw = roll_json(created=at(now), spec=by_hand | spec)
        names = {"name": name, "namespace": namespace, "uid": f"{namespace}-{name}"}
        tenant.rolls_json[name] = raw | {"metadata": raw["metadata"] | names}
        self.rolls.enqueue(Key(namespace, name))

    def _measuring(self, policies: PolicyController) -> Any:
        """Return the handler of the policies, with a measurement of each reconcile."""
        loop = asyncio.get_running_loop()

        async def handler(key: Key) -> float | None:
            started = loop.time()
            wait_s = await policies.reconcile(key)
            if wait_s and key.namespace == HOSTILE:
                self.measured.hostile_reconciles += 1
            elif wait_s:
                self._ends[key].append((started, loop.time()))
            return wait_s

        return handler

    async def run(self, seconds: float, *behaviours: Any) -> Measured:
        """Run for a time with the behaviours of tenants; return the times of the victims."""
        for name in VICTIMS:
            self.policies.enqueue(Key(name, "app"))
        tasks = [asyncio.ensure_future(c) for c in (self.policies.run(), self.rolls.run(), self._settle(), *behaviours)]
        await asyncio.sleep(seconds)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for reconciles in self._ends.values():
            self.measured.reconciles_s += [end - start for start, end in reconciles]
            self.measured.periods_s += [b[1] - a[1] for a, b in pairwise(reconciles)]
        self.measured.busy_ratio = self.core.busy_s / seconds
        return self.measured

    async def _settle(self) -> None:
        while True:
            await asyncio.sleep(1)
            for tenant in self.tenants.values():
                tenant.settle()

    async def roll_victims(self) -> None:
        """Roll a pod of each victim by hand, one after the other, and measure how long it takes."""
        waiting: list[asyncio.Task[None]] = []
        for i in range(10**6):
            await asyncio.sleep(2)
            waiting.append(asyncio.ensure_future(self._roll_victim(VICTIMS[i % len(VICTIMS)], f"r{i}")))

    async def _roll_victim(self, namespace: str, name: str) -> None:
        loop = asyncio.get_running_loop()
        tenant, started = self.tenants[namespace], loop.time()
        self.create_roll(namespace, name, next(n for n, p in tenant.pods.items() if not p.deleting))
        await until(lambda: tenant.rolls_json[name]["status"].get("phase") == "Succeeded")
        self.measured.rolls_s.append(loop.time() - started)

    async def change_victims(self) -> None:
        """Change a policy of another victim each 7 s, and measure how long it takes until a reconcile has read it."""
        loop = asyncio.get_running_loop()
        for i in range(10**6):
            await asyncio.sleep(7)
            key = Key(VICTIMS[i * 7 % len(VICTIMS)], "app")
            self.apply(key, "app")
            changed = loop.time()
            self.policies.enqueue(key)
            await until(lambda: self._is_observed(key))  # noqa: B023 - awaited in this iteration
            self.measured.changes_s.append(loop.time() - changed)

    def _is_observed(self, key: Key) -> bool:
        return is_reconciled(self.tenants[key.namespace].policies_json[key.name])

    async def edit_policies(self) -> None:
        """Edit 50 policies, 50 times a second in all; half of them use the connection that hangs."""
        for i in range(10**6):
            await asyncio.sleep(0.02)
            await self.core.use(FAT_CPU_S)  # the watch decodes it
            number = i % HOSTILE_POLICIES
            key = Key(HOSTILE, f"policy-{number}")
            self.apply(key, f"hostile-{number}", prometheus="hangs" if number % 2 else "default")
            self.policies.enqueue(key)

    async def create_rolls(self) -> None:
        """Create 10,000 PodRolls at once, then one each second, all with captures that take a minute."""
        evidence = {"evidence": {"logLines": 10, "timeout": "60s"}}
        tenant = self.tenants[HOSTILE]
        for i in range(10_000):
            self.create_roll(HOSTILE, f"bulk-{i}", next(iter(tenant.pods)), **evidence)
        for i in range(10**6):
            await asyncio.sleep(1)
            pods = list(tenant.pods)
            self.create_roll(HOSTILE, f"hand-{i}", pods[i % len(pods)], **evidence)
