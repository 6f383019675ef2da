"""Controllers and one simulated operator process over a fake cluster: shared by all scenario tests."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from memroll.controller.context import ControllerContext
from memroll.controller.key import Key
from memroll.controller.policy_controller import PolicyController
from memroll.controller.roll_controller import RollController
from memroll.planning.rate_limit import DEFAULT_RATE_LIMIT, RollRateLimit
from memroll.reporting.metrics import Metrics
from tests.builders import at, line, policy_json
from tests.fakes import FakeCluster, FakeEventRecorder, FakePrometheus

if TYPE_CHECKING:
    from collections.abc import Callable

POLICY = Key("demo", "leaky")
FAST: dict[str, Any] = {
    "mode": "Enforce",
    "selector": {"matchLabels": {"app": "leaky"}},
    "interval": "5s",
    "growth": {"perHour": "50%", "window": "60s", "warmUp": "20s", "for": "10s"},
    "roll": {"cooldown": "0s", "replacementTimeout": "60s"},
}


def _ignore(_: Key) -> None:
    """Enqueue nothing."""


@dataclass(frozen=True)
class Controllers:
    """Both controllers over one context."""

    context: ControllerContext
    policies: PolicyController
    rolls: RollController

    def changed(self, **changes: Any) -> Controllers:
        """Return the controllers with another context."""
        context = replace(self.context, **changes)
        return Controllers(context, replace(self.policies, context=context), replace(self.rolls, context=context))


@dataclass(frozen=True)
class Queues:
    """Functions that the controllers enqueue with."""

    enqueue_roll: Callable[[Key], None] = _ignore
    enqueue_policy: Callable[[Key], None] = _ignore


def controllers(
    cluster: Any,
    prometheus: Any,
    queues: Queues | None = None,
    rate_limit: RollRateLimit = DEFAULT_RATE_LIMIT,
    **context: Any,
) -> Controllers:
    """Build both controllers of a process that leads, on the cluster's clock."""
    queues = queues or Queues()
    defaults = {
        "events": FakeEventRecorder(),
        "metrics": Metrics(),
        "leads": lambda: True,
        "now": lambda: at(cluster.seconds),
    }
    made = ControllerContext(kubernetes=cluster, prometheus=prometheus, **(defaults | context))
    return Controllers(
        made, PolicyController(made, queues.enqueue_roll, rate_limit), RollController(made, queues.enqueue_policy)
    )


@dataclass
class Simulation:
    """One operator process over a fake cluster; `restart` replaces it by the process after a restart."""

    cluster: FakeCluster
    prometheus: FakePrometheus
    spec: dict[str, Any] = field(default_factory=lambda: FAST)

    def __post_init__(self) -> None:
        self.cluster.policies_json["leaky"] = policy_json(self.spec)
        self.recorder, self.metrics, self.leads = FakeEventRecorder(), Metrics(), True
        self.enqueued: list[Key] = []
        self.restart()

    def restart(self) -> None:
        self.controllers = controllers(
            self.cluster,
            self.prometheus,
            Queues(self.enqueued.append, self.enqueued.append),
            events=self.recorder,
            metrics=self.metrics,
            leads=lambda: self.leads,
        )

    def change_context(self, **changes: Any) -> None:
        self.controllers = self.controllers.changed(**changes)

    async def reconcile(self, key: Key = POLICY) -> float | None:
        """Reconcile one policy."""
        return await self.controllers.policies.reconcile(key)

    async def step_rolls(self) -> None:
        """Make one step of each PodRoll."""
        for name in list(self.cluster.rolls_json):
            await self.controllers.rolls.reconcile(Key("demo", name))

    async def run_rolls(self, rounds: int = 12) -> None:
        """Step all PodRolls, and let the cluster settle after each round."""
        for _ in range(rounds):
            await self.step_rolls()
            self.cluster.settle()

    async def restore_orphans(self) -> None:
        await self.controllers.rolls.restore_orphans()

    @property
    def status(self) -> dict[str, Any]:
        return self.cluster.policies_json["leaky"]["status"]

    def condition(self, type_: str) -> tuple[str, str, str]:
        found = next(c for c in self.status["conditions"] if c["type"] == type_)
        return found["status"], found["reason"], found["message"]

    @property
    def blocked_message(self) -> str:
        """Message of the gate that blocks the first pod at risk."""
        return self.status["atRisk"][0]["blockedBy"]["message"]

    @property
    def phases(self) -> list[str]:
        return [r["status"].get("phase", "") for r in self.cluster.rolls_json.values()]


def leaking(replicas: int = 1, **cluster: Any) -> Simulation:
    """Simulate a workload whose first pod leaks."""
    return Simulation(FakeCluster(replicas, **cluster), FakePrometheus({"id-leaky-1": line(0.5)}))
