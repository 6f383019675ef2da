"""A hundred policies and a hundred rolls at once: every event, log line, status and metric is about the right one.

Ten namespaces hold ten workloads each, of the same names everywhere, so that a mix-up of either half of a name shows.
Each workload has a memory limit of its own, which stands in all that is said of it. Some can't be read, some can't be
touched, and some get no replacement; the loop, the passes, the logs and the metrics are the real ones.
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

from memroll.api.policy import MemoryPolicy
from memroll.cli import logs
from memroll.controller.controllers import Passes
from memroll.controller.workqueue import Key, Schedule
from memroll.errors import PrometheusUnavailable, Stalled
from memroll.planning.rate_limit import Guard
from memroll.reconcile import roll as roll_step
from memroll.reporting.metrics import Metrics
from tests.builders import MIB, at, line, policy_json
from tests.fakes import FakeCluster, FakePrometheus, Log

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

Name = tuple[str, str]

TEAMS, APPS = 10, 10
NAMES = [(f"team-{team}", f"chat-{app}") for team in range(TEAMS) for app in range(APPS)]
UNREAD, UNTOUCHABLE, ALONE = "chat-7", "chat-8", "chat-9"
"""Prometheus does not answer for one, one may not be released, and one gets no replacement that is Ready."""
EXPECTED = {UNREAD: (), UNTOUCHABLE: ("Failed",), ALONE: ("Failed",)}
BESIDE = ("RollHeld", "EvidenceCaptured")
"""Events that are beside the story: they come as time allows."""
SPEC = {
    "mode": "Enforce",
    "interval": "5s",
    "growth": {"perHour": "50%", "window": "60s", "warmUp": "20s", "persist": "10s"},
    "roll": {"cooldown": "1h", "replacementTimeout": "10s"},
}
ROUND_S = 0.05
adapter = logging.getLogger("memroll.cluster")


def limit_mib(name: Name) -> int:
    return 128 + NAMES.index(name)


def names_in(text: str) -> tuple[set[str], set[str], set[int]]:
    """Return the namespaces, the workloads and the limits in MiB that a text names."""
    limits = {int(found) for found in re.findall(r" of (\d+)\.0 MiB", text)}
    return set(re.findall(r"team-\d+", text)), set(re.findall(r"chat-\d+(?!\d)", text)), limits


def strangers(text: str, name: Name) -> set[Any]:
    """Return what a text names that has nothing to do with this workload."""
    teams, apps, limits = names_in(text)
    return (teams - {name[0]}) | (apps - {name[1]}) | (limits - {limit_mib(name)})


class Fleet:
    """A hundred workloads behind one adapter. Each call waits a while, so that all of them are under way at once."""

    def __init__(self) -> None:
        self.members = {name: self._member(name) for name in NAMES}
        self.series = {name: self._series(name) for name in NAMES}
        self._random = random.Random(1)
        self.most_at_once = self._under_way = 0

    def _member(self, name: Name) -> FakeCluster:
        member = FakeCluster(name=name, limit_bytes=limit_mib(name) * MIB, newcomers_ready=name[1] != ALONE)
        selector = {"matchLabels": {"app": name[1]}}
        raw = policy_json(SPEC | {"selector": selector}, name[1], namespace=name[0], uid="-".join(("policy", *name)))
        member.policies_json[name[1]] = raw
        member.log = (f"{name[0]}/{name[1]} serves",)  # what evidence finds, where it is captured
        if name[1] == UNTOUCHABLE:
            member.release = refuse
        return member

    def _series(self, name: Name) -> FakePrometheus:
        error = PrometheusUnavailable("Timeout", f"no answer for {name}") if name[1] == UNREAD else None
        leak = line(0.5, base_mib=20 + NAMES.index(name), ahead_s=600)
        return FakePrometheus({f"id-{name[1]}-1": leak}, error)

    def of(self, *about: Any) -> Name:
        """Return the one workload that the arguments of a call name. There being two would be the mix-up looked for."""
        (team,), (app,), _ = names_in(repr(about))
        return team, app

    def settle(self) -> None:
        for member in self.members.values():
            member.settle()

    @property
    def seconds(self) -> float:
        return self.members[NAMES[0]].seconds

    @asynccontextmanager
    async def lagging(self) -> AsyncIterator[None]:
        self._under_way += 1
        self.most_at_once = max(self.most_at_once, self._under_way)
        for _ in range(self._random.randint(1, 8)):
            await asyncio.sleep(0)
        yield
        self._under_way -= 1

    def __getattr__(self, call: str) -> Any:
        """Hand a call on to its workload, and log it as an adapter might."""

        async def passed_on(*args: Any, **named: Any) -> Any:
            name = self.of(*args)
            async with self.lagging():
                if call != "targets":  # a pass asks for the pods of older policies, too
                    adapter.debug(call, extra={"asked": "/".join(name)})
                return await getattr(self.members[name], call)(*args, **named)

        return passed_on

    async def policies(self, namespaces: Any) -> tuple[dict[str, Any], ...]:
        return tuple(self._all("policies_json", namespaces))

    async def rolls(self, namespace: str) -> tuple[dict[str, Any], ...]:
        return tuple(self._all("rolls_json", (namespace,) if namespace else ()))

    async def namespace_annotations(self, namespace: str) -> dict[str, str]:
        return {}

    def _all(self, store: str, namespaces: Any) -> Iterator[dict[str, Any]]:
        for (namespace, _), member in self.members.items():
            if not namespaces or namespace in namespaces:
                yield from getattr(member, store).values()


class Series:
    """The Prometheus of all of them."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def __getattr__(self, call: str) -> Any:
        async def passed_on(connection: str, namespace: str, pods: Any, *args: Any, **named: Any) -> Any:
            name = self._fleet.of(namespace, pods)
            async with self._fleet.lagging():
                return await getattr(self._fleet.series[name], call)(connection, namespace, pods, *args, **named)

        return passed_on


async def refuse(*about: Any) -> None:
    raise Stalled("Forbidden", f"cannot patch the pod {about[0].key.namespace}/{about[0].key.name}")


class Operator:
    """The loop and the passes as `memroll operator` puts them together."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet, self.log, self.metrics = fleet, Log(), Metrics()
        passes = Passes(
            cluster=fleet, prometheus=Series(fleet), recorder=self.log, metrics=self.metrics, leads=lambda: True,
            wake_roll=self.wake_roll, wake_policy=self.wake_policy,
            now=lambda: at(fleet.seconds), guard=Guard(1000, 100.0),
        )  # fmt: skip
        self.policies, self.rolls = Schedule(passes.over_policy, 100), Schedule(passes.over_roll, 100)

    def wake_roll(self, key: Key) -> None:
        self.rolls.wake(key)

    def wake_policy(self, key: Key) -> None:
        self.policies.wake(key)

    async def run(self) -> None:
        """Run until every roll has ended and every policy says so."""
        for name in NAMES:
            self.policies.wake(Key(*name))
        running = [asyncio.create_task(loop.run()) for loop in (self.policies, self.rolls)]
        try:
            async with asyncio.timeout(60):
                while not all(map(self.told, NAMES)):
                    await asyncio.sleep(ROUND_S)
                    self.fleet.settle()
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    def told(self, name: Name) -> bool:
        policy = MemoryPolicy.read(self.fleet.members[name].policies_json[name[1]])
        phases = [roll.phase for roll in policy.status.last_rolls]
        return bool(policy.status.conditions) and tuple(phases) == ended(name)


def ended(name: Name) -> tuple[str, ...]:
    return EXPECTED.get(name[1], ("Succeeded",))


@pytest.fixture
async def played(monkeypatch: pytest.MonkeyPatch) -> tuple[Operator, list[dict[str, Any]]]:
    """Play it once; return the operator and its log lines as they are written."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(roll_step, "WAIT_S", ROUND_S)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        logs.configure("json", "DEBUG")
        operator = Operator(Fleet())
        await operator.run()
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    return operator, [json.loads(text) for text in stream.getvalue().splitlines()]


async def test_a_hundred_policies_and_their_rolls_at_once_never_mix_anything(played):
    operator, lines = played
    assert operator.fleet.most_at_once >= 50, "they did run at the same time"
    check_records(operator)
    check_events(operator)
    check_lines(lines)
    check_metrics(operator.metrics)


def check_records(operator: Operator) -> None:
    """Each policy's status and each PodRoll name their own pod and numbers, and each pod was rolled once."""
    for name, member in operator.fleet.members.items():
        assert strangers(json.dumps([member.policies_json, member.rolls_json]), name) == set()
        assert tuple(r["status"]["phase"] for r in member.rolls_json.values()) == ended(name), name
        rolled = [f"uid-{name[0]}-{name[1]}-1"] if ended(name) == ("Succeeded",) else []
        assert member.evicted == rolled


def check_events(operator: Operator) -> None:
    """Each event names what it is about, and each object was told its own story."""
    stories: dict[tuple[str, str], list[str]] = {}
    for event in operator.log.events:
        name = operator.fleet.of(event.regarding.namespace, event.regarding.name)
        assert strangers(f"{event.regarding} {event.message} {event.subject}", name) == set()
        if event.regarding.kind == "Deployment":
            stories.setdefault(name, []).append(event.reason.value)
    for name in NAMES:
        expected = {
            UNREAD: [],
            UNTOUCHABLE: ["RollAnnounced", "RollRolledBack"],
            ALONE: ["RollAnnounced", "RollRolledBack"],
        }.get(name[1], ["RollAnnounced", "ReplacementReady", "PodRolled"])
        told = [reason for reason in stories.get(name, []) if reason not in BESIDE]
        assert told == expected, name


def check_lines(lines: list[dict[str, Any]]) -> None:
    """Each line is about one workload, and says so in its fields: also one from deep inside an adapter."""
    deep = 0
    for said in lines:
        teams, apps, _ = names_in(json.dumps(said))
        if not teams:
            continue
        assert len(teams) == len(apps) == 1, said
        (team,), (app,) = teams, apps
        assert said["namespace"] == team, said
        assert said.get("policy", app) == app, said
        assert said.get("policy") or said.get("roll"), said
        assert strangers(json.dumps(said), (team, app)) == set()
        deep += "asked" in said
    assert deep > 20 * len(NAMES)
    levels = Counter(said["policy"] for said in lines if said["message"] == "pass held")
    assert set(levels) == {UNREAD}


def check_metrics(metrics: Metrics) -> None:
    counted = {
        (s.labels["namespace"], s.labels["policy"], s.labels["outcome"]): s.value
        for m in metrics.registry.collect()
        if m.name == "memroll_rolls"
        for s in m.samples
        if s.name.endswith("_total")
    }
    assert counted == {(*name, outcome): 1.0 for name in NAMES for outcome in ended(name)}
