"""A hundred policies and a hundred concurrent rolls: every Event, log record, status and metric names the right one.

Ten namespaces have ten workloads each, with the same names in each, so that a mix-up of either half of a name is found.
Each workload has its own memory limit, which all texts about it contain. Some can't be read, some must not be changed,
and some get no replacement; the work queues, the controllers, the logs and the metrics are the real ones.
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
import random
import re
import sys
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from memroll import logs
from memroll.api.policy import MemoryPolicy
from memroll.controller.key import Key
from memroll.controller.workqueue import WorkQueue
from memroll.errors import PrometheusUnavailableError, TerminalError
from memroll.planning.rate_limit import RollRateLimit
from memroll.reporting.metrics import Metrics
from memroll.rolling import step_wait
from tests.builders import MIB, line, policy_json
from tests.fakes import FakeCluster, FakeEventRecorder, FakePrometheus
from tests.scenario.simulation import Queues, controllers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from memroll.model.autoscalers import Autoscaler
    from memroll.model.pods import Pod

Name = tuple[str, str]

TEAMS, APPS = 10, 10
NAMES = [(f"team-{team}", f"chat-{app}") for team in range(TEAMS) for app in range(APPS)]
QUERY_FAILS, RELEASE_FORBIDDEN, NEVER_READY = "chat-7", "chat-8", "chat-9"
"""Workloads in each namespace whose query fails, whose release is forbidden, and whose replacement never is Ready."""
EXPECTED = {QUERY_FAILS: (), RELEASE_FORBIDDEN: ("Failed",), NEVER_READY: ("Failed",)}
TIMING_DEPENDENT = ("RollBlocked", "EvidenceCaptured")
"""Events whose number depends on timing; they are not compared."""
SPEC = {
    "mode": "Enforce",
    "interval": "5s",
    "growth": {"perHour": "50%", "window": "60s", "warmUp": "20s", "for": "10s"},
    "roll": {"cooldown": "1h", "replacementTimeout": "10s"},
}
ROUND_S = 0.05
cluster_log = logging.getLogger("memroll.cluster")


def limit_mib(name: Name) -> int:
    return 128 + NAMES.index(name)


def names_in(text: str) -> tuple[set[str], set[str], set[int]]:
    """Return the namespaces, the workloads and the limits in MiB in a text."""
    limits = {int(found) for found in re.findall(r" of (\d+)\.0 MiB", text)}
    return set(re.findall(r"team-\d+", text)), set(re.findall(r"chat-\d+(?!\d)", text)), limits


def foreign_names(text: str, name: Name) -> set[Any]:
    """Return the names and limits in a text that belong to other workloads."""
    teams, apps, limits = names_in(text)
    return (teams - {name[0]}) | (apps - {name[1]}) | (limits - {limit_mib(name)})


class Fleet:
    """A hundred workloads behind one client. Each call is delayed, so that all of them run concurrently."""

    def __init__(self) -> None:
        self.members = {name: self._member(name) for name in NAMES}
        self.series = {name: self._series(name) for name in NAMES}
        self._random = random.Random(1)
        self.max_running = self._running = 0

    def _member(self, name: Name) -> FakeCluster:
        member = FakeCluster(name=name, limit_bytes=limit_mib(name) * MIB, replacements_ready=name[1] != NEVER_READY)
        selector = {"matchLabels": {"app": name[1]}}
        raw = policy_json(SPEC | {"selector": selector}, name[1], namespace=name[0], uid="-".join(("policy", *name)))
        member.policies_json[name[1]] = raw
        member.pod_log = (f"{name[0]}/{name[1]} serves",)  # what evidence finds, where it is captured
        if name[1] == RELEASE_FORBIDDEN:
            member.release = refuse
        return member

    def _series(self, name: Name) -> FakePrometheus:
        error = PrometheusUnavailableError("Timeout", f"no answer for {name}") if name[1] == QUERY_FAILS else None
        leak = line(0.5, base_mib=20 + NAMES.index(name), ahead_s=600)
        return FakePrometheus({f"id-{name[1]}-1": leak}, error)

    def of(self, *about: Any) -> Name:
        """Return the workload in the arguments of a call; fail if they name two, which would be a mix-up."""
        (team,), (app,), _ = names_in(repr(about))
        return team, app

    def settle(self) -> None:
        for member in self.members.values():
            member.settle()

    @property
    def seconds(self) -> float:
        return self.members[NAMES[0]].seconds

    @asynccontextmanager
    async def delayed(self) -> AsyncIterator[None]:
        self._running += 1
        self.max_running = max(self.max_running, self._running)
        for _ in range(self._random.randint(1, 8)):
            await asyncio.sleep(0)
        yield
        self._running -= 1

    def __getattr__(self, call: str) -> Any:
        """Forward a call to its workload, and log it as a client does."""

        async def forward(*args: Any, **named: Any) -> Any:
            name = self.of(*args)
            async with self.delayed():
                if call != "list_pods":  # a reconcile lists the pods of older policies, too
                    cluster_log.debug(call, extra={"asked": "/".join(name)})
                return await getattr(self.members[name], call)(*args, **named)

        return forward

    async def list_policies(self, namespaces: Any) -> tuple[dict[str, Any], ...]:
        return tuple(self._all("policies_json", namespaces))

    async def list_rolls(self, namespace: str) -> tuple[dict[str, Any], ...]:
        return tuple(self._all("rolls_json", (namespace,) if namespace else ()))

    async def iterate_rolls(self, namespace: str) -> AsyncIterator[dict[str, Any]]:
        for raw in await self.list_rolls(namespace):
            yield raw

    async def list_all_pods(self, namespace: str, max_pods: int) -> tuple[Pod, ...]:
        return tuple(p for (team, _), m in self.members.items() if team == namespace for p in m.pods.values())

    async def get_namespace_annotations(self, namespace: str) -> dict[str, str]:
        return {}

    async def list_node_memory(self) -> dict[str, int]:
        return {}

    async def list_autoscalers(self, namespace: str, max_age_s: float = 0.0) -> tuple[Autoscaler, ...]:
        return ()

    def _all(self, store: str, namespaces: Any) -> Iterator[dict[str, Any]]:
        for (namespace, _), member in self.members.items():
            if not namespaces or namespace in namespaces:
                yield from getattr(member, store).values()


class FleetPrometheus:
    """Prometheus with the samples of all workloads."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def __getattr__(self, call: str) -> Any:
        async def forward(connection: str, *args: Any) -> Any:
            name = self._fleet.of(*args)
            async with self._fleet.delayed():
                return await getattr(self._fleet.series[name], call)(connection, *args)

        return forward


async def refuse(*about: Any) -> None:
    raise TerminalError("Forbidden", f"cannot patch the pod {about[0].key.namespace}/{about[0].key.name}")


class FleetOperator:
    """Work queues and controllers, connected as in `controller.manager`."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet, self.recorder, self.metrics = fleet, FakeEventRecorder(), Metrics()
        made = controllers(
            fleet,
            FleetPrometheus(fleet),
            Queues(self.enqueue_roll, self.enqueue_policy),
            RollRateLimit(1000, 100.0),
            events=self.recorder,
            metrics=self.metrics,
        )
        self.policies, self.rolls = WorkQueue(made.policies.reconcile, 100), WorkQueue(made.rolls.reconcile, 100)

    def enqueue_roll(self, key: Key) -> None:
        self.rolls.enqueue(key)

    def enqueue_policy(self, key: Key) -> None:
        self.policies.enqueue(key)

    async def run(self) -> None:
        """Run until every roll has ended and every policy's status contains it."""
        for name in NAMES:
            self.policies.enqueue(Key(*name))
        running = [asyncio.create_task(loop.run()) for loop in (self.policies, self.rolls)]
        try:
            async with asyncio.timeout(100):
                while not all(map(self.is_recorded, NAMES)):
                    await asyncio.sleep(ROUND_S)
                    self.fleet.settle()
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    def is_recorded(self, name: Name) -> bool:
        policy = MemoryPolicy.read(self.fleet.members[name].policies_json[name[1]])
        phases = [roll.phase for roll in policy.status.last_rolls]
        return bool(policy.status.conditions) and tuple(phases) == ended(name)


def ended(name: Name) -> tuple[str, ...]:
    return EXPECTED.get(name[1], ("Succeeded",))


@pytest.fixture
async def run_once(monkeypatch: pytest.MonkeyPatch) -> tuple[FleetOperator, list[dict[str, Any]]]:
    """Run the operator once; return it and its log records."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(step_wait, "MIN_WAIT_S", ROUND_S)
    monkeypatch.setattr(step_wait, "SHORT_PERIOD_S", ROUND_S)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        logs.configure("json", "DEBUG")
        operator = FleetOperator(Fleet())
        await operator.run()
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    return operator, [json.loads(text) for text in stream.getvalue().splitlines()]


async def test_a_hundred_concurrent_policies_and_rolls_mix_up_nothing(run_once):
    operator, lines = run_once
    assert operator.fleet.max_running >= 50, "they ran concurrently"
    check_records(operator)
    check_events(operator)
    check_log_records(lines)
    check_metrics(operator.metrics)


def check_records(operator: FleetOperator) -> None:
    """Check that each status contains only its own names and numbers, and that each pod was rolled once."""
    for name, member in operator.fleet.members.items():
        assert foreign_names(json.dumps([member.policies_json, member.rolls_json]), name) == set()
        assert tuple(r["status"]["phase"] for r in member.rolls_json.values()) == ended(name), name
        rolled = [f"uid-{name[0]}-{name[1]}-1"] if ended(name) == ("Succeeded",) else []
        assert member.evicted == rolled


def check_events(operator: FleetOperator) -> None:
    """Check that each Event names its own object, and that each object has its own sequence of Events."""
    stories: dict[tuple[str, str], list[str]] = {}
    for event in operator.recorder.events:
        name = operator.fleet.of(event.regarding.namespace, event.regarding.name)
        assert foreign_names(f"{event.regarding} {event.message} {event.subject}", name) == set()
        if event.regarding.kind == "Deployment":
            stories.setdefault(name, []).append(event.reason.value)
    for name in NAMES:
        expected = {
            QUERY_FAILS: [],
            RELEASE_FORBIDDEN: ["RollAnnounced", "RollReverted"],
            NEVER_READY: ["RollAnnounced", "RollReverted"],
        }.get(name[1], ["RollAnnounced", "ReplacementReady", "PodRolled"])
        actual = [reason for reason in stories.get(name, []) if reason not in TIMING_DEPENDENT]
        assert actual == expected, name


def check_log_records(lines: list[dict[str, Any]]) -> None:
    """Check that each log record names one workload in its fields, including records of the clients."""
    deep = 0
    for record in lines:
        teams, apps, _ = names_in(json.dumps(record))
        if not teams:
            continue
        assert len(teams) == len(apps) == 1, record
        (team,), (app,) = teams, apps
        assert record["namespace"] == team, record
        assert record.get("policy", app) == app, record
        assert record.get("policy") or record.get("roll"), record
        assert foreign_names(json.dumps(record), (team, app)) == set()
        deep += "asked" in record
    assert deep > 20 * len(NAMES)
    levels = Counter(record["policy"] for record in lines if record["message"] == "reconcile failed")
    assert set(levels) == {QUERY_FAILS}


def check_metrics(metrics: Metrics) -> None:
    counted = {
        (s.labels["namespace"], s.labels["policy"], s.labels["outcome"]): s.value
        for m in metrics.registry.collect()
        if m.name == "memroll_rolls"
        for s in m.samples
        if s.name.endswith("_total") and s.value
    }
    assert counted == {(*name, outcome): 1.0 for name in NAMES for outcome in ended(name)}
