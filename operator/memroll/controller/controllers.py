"""What the loop runs: one pass over a policy, one step of a roll, each recorded as status, events and metrics.

Everything starts from a fresh read of the object by its name, and nothing is done unless this process leads.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import ValidationError

from memroll.api import conditions
from memroll.api.conditions import ConditionType, Status, condition
from memroll.api.pod_roll import Phase, PodRoll
from memroll.api.policy import MemoryPolicy, read_status
from memroll.controller.workqueue import Key
from memroll.errors import Conflict, MemrollError, PrometheusUnavailable, Stalled, Waiting
from memroll.log_context import about, apart
from memroll.model.permissions import EVERYTHING, Permits
from memroll.planning.rate_limit import DEFAULT_GUARD, Guard
from memroll.reconcile import policy as policy_pass
from memroll.reconcile import roll as roll_step
from memroll.reconcile import snapshot as scenes
from memroll.reconcile.effect import learn
from memroll.reconcile.roll import Mandate, Ports, Prometheus
from memroll.reconcile.snapshot import Scene
from memroll.reporting import event_builder
from memroll.reporting.outcome import Outcome
from memroll.reporting.status import status_of
from memroll.rolling import orphans
from memroll.rolling.observation import moved

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime

    from memroll.evidence.capture import Reports
    from memroll.reporting.events import Event
    from memroll.reporting.metrics import Metrics

logger = logging.getLogger(__name__)

PLURAL = "memorypolicies"
STANDBY_S = 2.0
"""How often a process that does not lead looks whether it leads now."""
RETRY_MOST_S = 15.0
AFTER_A_CONFLICT_S = 0.2
JITTER_SHARE = 0.05
NOT_HERE = "memroll does not act in this namespace"


class Cluster(scenes.Cluster, roll_step.Cluster, orphans.Cluster, Protocol):
    """What the passes need of Kubernetes beside what they hand on."""

    async def policy(self, namespace: str, name: str) -> dict[str, Any] | None: ...
    async def policies(self, namespaces: Sequence[str]) -> tuple[dict[str, Any], ...]: ...


class Recorder(Protocol):
    def publish(self, events: Iterable[Event]) -> None: ...


@dataclass(frozen=True, slots=True)
class Passes:
    """The two kinds of work, and the resync that finds all of it."""

    cluster: Cluster
    prometheus: Prometheus
    recorder: Recorder
    metrics: Metrics
    leads: Callable[[], bool]
    wake_roll: Callable[[Key], None]
    wake_policy: Callable[[Key], None]
    now: Callable[[], datetime]
    permits: Permits = EVERYTHING
    namespaces: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    retiring: str = ""
    """Why every roll is taken back; empty while memroll works."""
    guard: Guard = DEFAULT_GUARD
    reports: Reports | None = None
    """Asks pods for their own memory reports."""
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by the pass that plans and records."""

    async def over_policy(self, key: Key) -> float | None:
        """Make one pass over a policy; return the seconds until the next, or None when it is gone."""
        if not self.leads():
            return STANDBY_S
        with about(namespace=key.namespace, policy=key.name):
            try:
                raw = await self.cluster.policy(*key)
                if raw is None:
                    self.metrics.forget(*key)
                    return None
                return await self._pass(raw)
            except Conflict:
                return AFTER_A_CONFLICT_S
            except MemrollError as trouble:
                return _after(trouble, "policy", key)

    async def _pass(self, raw: dict[str, Any]) -> float:
        now, started = self.now(), time.monotonic()
        try:
            policy = MemoryPolicy.read(raw)
        except ValidationError as invalid:
            await self._refuse(raw, invalid, now)
            return RETRY_MOST_S
        if policy.namespace in self.excluded:
            return await self._record(_refused_namespace(policy, now), started)
        same_namespace = await self.cluster.policies((policy.namespace,))
        others = tuple(p for p in _readable(same_namespace) if p.uid != policy.uid)
        rolls = tuple(_readable_rolls(await self.cluster.rolls(policy.namespace)))
        scene = Scene(
            policy, others, rolls, now, self.permits, self.leads, self.guard, namespaces=self.namespaces, turn=self.turn
        )
        outcome = await policy_pass.reconcile(scene, self.cluster, self.prometheus)
        outcome = await learn(outcome, self.cluster, self.prometheus)
        return await self._record(outcome, started)

    async def _record(self, outcome: Outcome, started: float) -> float:
        """Write status, events, metrics and the log line of one pass; return the seconds until the next."""
        policy = outcome.policy
        for roll in outcome.rolls:
            if roll.active:
                self.wake_roll(Key(roll.namespace, roll.name))
        self.metrics.observe_pass(outcome, time.monotonic() - started)
        self.recorder.publish(event_builder.of_outcome(outcome))
        _log(outcome)
        status = status_of(outcome)
        if status != policy.status:
            await self.cluster.write_status(
                PLURAL, policy.namespace, policy.name, policy.resource_version, status.on_the_wire()
            )
        interval_s = policy.spec.interval.total_seconds()
        if isinstance(outcome.trouble, Waiting):
            return min(interval_s, max(outcome.trouble.retry_after_s, RETRY_MOST_S))
        return interval_s * (1 + random.uniform(-JITTER_SHARE, JITTER_SHARE))  # noqa: S311 - spread, not secrecy

    async def _refuse(self, raw: dict[str, Any], invalid: ValidationError, now: datetime) -> None:
        """Say on the object what can't be used; the API server refuses most of it before."""
        meta, generation = raw["metadata"], raw["metadata"].get("generation", 1)
        words = "; ".join(f"spec.{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in invalid.errors())
        old = read_status(raw)
        said = [
            condition(ConditionType.READY, Status.FALSE, "Invalid", words, generation=generation, now=now),
            condition(ConditionType.ACCEPTED, Status.FALSE, "Invalid", words, generation=generation, now=now),
            condition(ConditionType.STALLED, Status.TRUE, "Invalid", words, generation=generation, now=now),
        ]
        merged = conditions.merge(old.conditions, said)
        status = old.model_copy(update={"conditions": merged, "observed_generation": generation})
        logger.warning("policy %s/%s is invalid: %s", meta["namespace"], meta["name"], words)
        if status != old:
            await self.cluster.write_status(
                PLURAL, meta["namespace"], meta["name"], meta.get("resourceVersion", ""), status.on_the_wire()
            )

    async def over_roll(self, key: Key) -> float | None:
        """Make one step of a roll; return the seconds until the next, or None when it has ended."""
        if not self.leads():
            return STANDBY_S
        with about(namespace=key.namespace, roll=key.name):
            try:
                raw = await self.cluster.roll(*key)
                if raw is None:
                    await self.put_back()
                    return None
                return await self._over(PodRoll.read(raw))
            except Conflict:
                return AFTER_A_CONFLICT_S
            except ValidationError as invalid:
                logger.warning("PodRoll %s/%s can't be read: %s", key.namespace, key.name, invalid.errors()[:3])
                return None
            except MemrollError as trouble:
                return _after(trouble, "PodRoll", key)

    async def _over(self, roll: PodRoll) -> float | None:
        if not roll.active:
            return None
        if roll.namespace in self.excluded:
            await self._exclude(roll)
            return None
        with about(policy=roll.spec.policy, pod=roll.spec.pod_name):
            return await self._step(roll)

    async def _step(self, roll: PodRoll) -> float | None:
        policy = await self._policy_of(roll)
        ports = Ports(self.cluster, self.prometheus, self.reports)
        mandate = Mandate(self.permits, self.leads, self.retiring)
        advanced = await roll_step.advance(roll, policy, ports, self.now(), mandate)
        after = advanced.roll
        self.recorder.publish(event_builder.of_roll_step(advanced.before, after, policy))
        if after.status != advanced.before:
            logger.info(
                "roll", extra={"namespace": after.namespace, "roll": after.name, "pod": after.spec.pod_name,
                               "phase": after.status.phase, "reason": after.status.reason,
                               "detail": after.status.message},
            )  # fmt: skip
        if not after.active:
            self.metrics.observe_roll(after)
            if policy is not None:
                self.wake_policy(Key(policy.namespace, policy.name))
        return advanced.wait_s

    async def _exclude(self, roll: PodRoll) -> None:
        """End a roll that was asked for where memroll does not act."""
        status = moved(roll.status, Phase.FAILED, self.now(), NOT_HERE, reason="NamespaceExcluded")
        await self.cluster.write_status(
            "podrolls", roll.namespace, roll.name, roll.resource_version, status.on_the_wire()
        )

    async def _policy_of(self, roll: PodRoll) -> MemoryPolicy | None:
        if not roll.spec.policy:
            return None
        raw = await self.cluster.policy(roll.namespace, roll.spec.policy)
        return next(_readable([raw]), None) if raw is not None else None

    async def put_back(self) -> tuple[orphans.Stray, ...]:
        """Settle the pods that were released by rolls which do not exist any more, and return them."""
        if not self.leads():
            return ()
        with apart():  # from the roll whose absence led here: a stray may be anybody's
            found = await orphans.sweep(self.cluster, self.namespaces, self.leads, self.excluded)
            for stray in found:
                fields = {"namespace": stray.pod.namespace, "pod": stray.pod.name, "done": stray.done}
                logger.warning("stray", extra=fields)
        return found

    async def known(self) -> tuple[list[Key], list[Key]]:
        """Return all policies and all rolls that have not ended, by name."""
        policies = [_key(raw) for raw in await self.cluster.policies(self.namespaces)]
        listed = [await self.cluster.rolls(namespace) for namespace in self.namespaces or ("",)]
        rolls = [Key(r.namespace, r.name) for raws in listed for r in _readable_rolls(raws) if r.active]
        return policies, rolls


def _key(raw: dict[str, Any]) -> Key:
    return Key(raw["metadata"]["namespace"], raw["metadata"]["name"])


def _refused_namespace(policy: MemoryPolicy, now: datetime) -> Outcome:
    return Outcome(policy, now, trouble=Stalled("NamespaceExcluded", NOT_HERE))


def _readable(raws: Iterable[dict[str, Any]]) -> Iterator[MemoryPolicy]:
    for raw in raws:
        try:
            yield MemoryPolicy.read(raw)
        except ValidationError:
            continue  # its own pass says so on the object


def _readable_rolls(raws: Iterable[dict[str, Any]]) -> Iterator[PodRoll]:
    for raw in raws:
        try:
            yield PodRoll.read(raw)
        except ValidationError:
            logger.warning("PodRoll %s/%s can't be read", raw["metadata"]["namespace"], raw["metadata"]["name"])


def _after(trouble: MemrollError, kind: str, key: Key) -> float:
    logger.warning("%s %s/%s: %s", kind, key.namespace, key.name, trouble)
    return min(trouble.retry_after_s, RETRY_MOST_S) if isinstance(trouble, Waiting) else RETRY_MOST_S


def _log(outcome: Outcome) -> None:
    policy = outcome.policy
    fields = {
        "namespace": policy.namespace,
        "policy": policy.name,
        "pods": outcome.targets,
        "breaching": len(outcome.breaching),
        "rolls": len(outcome.plan.rolls),
        "holds": len(outcome.plan.holds),
    }
    if outcome.trouble is not None:
        level = logging.WARNING if isinstance(outcome.trouble, PrometheusUnavailable) else logging.ERROR
        logger.log(level, "pass held", extra=fields | {"trouble": str(outcome.trouble)})
    elif outcome.plan.rolls:
        logger.info("pass rolls", extra=fields | {"planned": [c.target.key.name for c in outcome.plan.rolls]})
    else:
        logger.debug("pass", extra=fields)
