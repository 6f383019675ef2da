"""Lists of pods that the policies of a namespace share, and workloads that are resolved once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from memroll.api.base import WorkloadRef
from memroll.api.policy import MemoryPolicy
from memroll.api.selector import LabelSelector
from memroll.controller.shared_pods import MAX_AGE_S, RETRY_SHARING_S, NamespacePods, SharedPods
from memroll.errors import NotFoundError
from memroll.model.pods import ObjectRef
from memroll.model.policy_record import PolicyRecord
from memroll.model.target import TargetControllers
from tests.builders import pod, policy_json

APP = LabelSelector(match_labels={"app": "a"})
CHAT = WorkloadRef(api_version="apps/v1", kind="Deployment", name="chat")


def of_revision(name: str, revision: str, app: str = "chat") -> Any:
    controller = ObjectRef("apps/v1", "ReplicaSet", f"{app}-{revision}", f"rs-{app}-{revision}")
    return pod(name, controller=controller, labels={"app": app, "pod-template-hash": revision})


class Reader:
    """Reader of pods that counts the requests."""

    def __init__(self, *pods: Any) -> None:
        self.pods = pods
        self.revisions = {"1"}
        self.asked: list[str] = []
        self.is_missing = False

    async def list_all_pods(self, namespace: str, max_pods: int) -> Any:
        self.asked.append("all")
        await asyncio.sleep(0)
        return self.pods if len(self.pods) <= max_pods else None

    async def list_pods(self, namespace: str, selector: str) -> Any:
        self.asked.append(selector)
        return self.pods

    async def resolve_target(self, namespace: str, api_version: str, kind: str, name: str) -> TargetControllers:
        self.asked.append(f"{kind}/{name}")
        if self.is_missing:
            raise NotFoundError("NotFound", name)
        return TargetControllers(f"app={name}", frozenset(f"rs-{name}-{r}" for r in self.revisions))


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def policy(name: str = "a", pods: int = 2, **spec: Any) -> dict[str, Any]:
    body = {"mode": "Observe", "interval": "5m", "selector": {"matchLabels": {"app": name}}} | spec
    return policy_json({k: v for k, v in body.items() if v}, name) | {"status": {"pods": {"total": pods}}}


OTHER = PolicyRecord.read(policy("other"))
OLDER = PolicyRecord.read(policy("older", targetRef=CHAT.to_dict(), selector=None))


def source(reader: Reader, clock: Clock | None = None, shared: SharedPods | None = None, **spec: Any) -> NamespacePods:
    shared = shared or SharedPods(reader, clock or Clock())  # type: ignore[arg-type]
    return NamespacePods.of(shared, MemoryPolicy.read(policy(**spec)), (OTHER,))


async def test_policies_that_are_due_together_list_the_pods_once():
    reader = Reader(pod("a", labels={"app": "a"}), pod("b", labels={"app": "b"}))
    shared = SharedPods(reader, Clock())  # type: ignore[arg-type]
    found = await asyncio.gather(*(source(reader, shared=shared).list_selected("demo", APP) for _ in range(50)))
    assert reader.asked == ["all"]
    assert {tuple(p.key.name for p in pods) for pods in found} == {("a",)}


async def test_a_list_is_used_for_a_tenth_of_the_interval_at_most():
    for interval, age_s in (("5m", MAX_AGE_S), ("10s", 1.0)):
        reader, clock = Reader(), Clock()
        own = source(reader, clock, interval=interval)
        for clock.now_s in (100.0, 100.0 + age_s, 100.1 + age_s):
            await own.list_selected("demo", APP)
        assert reader.asked == ["all"] * 2


async def test_a_list_is_not_kept_in_memory():
    reader = Reader()
    own = source(reader, interval="5s")
    await own.list_selected("demo", APP)
    assert len(own.shared._listings) == 1
    await asyncio.sleep(own.max_age_s + 0.1)
    assert own.shared._listings == {}


async def test_in_a_namespace_with_many_other_pods_each_policy_lists_its_own():
    reader, clock = Reader(*(pod(f"a-{i}", labels={"app": "a"}) for i in range(300))), Clock()
    own = source(reader, clock)
    assert len(await own.list_selected("demo", APP)) == 300
    clock.now_s = RETRY_SHARING_S
    await own.list_selected("demo", APP)
    assert reader.asked == ["all", "app=a", "app=a"], "the whole namespace is not tried at each reconcile"
    watching_many = replace(own, max_pods=2 * 300)
    await watching_many.list_selected("demo", APP)
    assert reader.asked[3:] == ["all"]


async def test_a_policy_whose_namespace_has_suspended_policies_only_lists_its_own_pods():
    reader = Reader(pod("a", labels={"app": "a"}))
    own = MemoryPolicy.read(policy())
    source_ = NamespacePods.of(SharedPods(reader, Clock()), own, (replace(OTHER, suspend=True),))  # type: ignore[arg-type]
    await source_.list_selected("demo", APP)
    assert reader.asked == ["app=a"]


async def test_the_pods_of_a_target_are_those_of_its_controllers():
    reader = Reader(of_revision("chat-1", "1"), of_revision("canary-1", "1", "chat-canary"))
    own = source(reader)
    assert [p.key.name for p in await own.list_targeted("demo", CHAT)] == ["chat-1"]
    assert reader.asked == ["Deployment/chat", "all"]


async def test_an_older_target_is_resolved_once_for_all_younger_policies():
    pods = (of_revision("chat-1", "1"), of_revision("canary-1", "1", "chat-canary"))
    reader = Reader(*pods)
    shared = SharedPods(reader, Clock())  # type: ignore[arg-type]
    for _ in range(50):
        assert await source(reader, shared=shared).find_targeted(pods, OLDER, CHAT) == {"uid-chat-1"}
    assert reader.asked == ["Deployment/chat"]


async def test_the_pods_of_a_new_revision_belong_to_the_older_policy_at_once():
    """Otherwise the younger policy could roll a pod that is not its own until the older one is reconciled."""
    pods = (of_revision("chat-1", "1"), of_revision("chat-2", "2"))
    reader = Reader(*pods)
    own = source(reader)
    await own.find_targeted(pods[:1], OLDER, CHAT)
    reader.revisions = {"1", "2"}
    assert await own.find_targeted(pods, OLDER, CHAT) == {"uid-chat-1", "uid-chat-2"}


async def test_a_target_that_is_gone_has_no_pods():
    reader = Reader(of_revision("chat-1", "1"))
    own = source(reader)
    await own.list_targeted("demo", CHAT)
    reader.is_missing = True
    own.shared._targets.clear()
    assert await own.find_targeted(reader.pods, OLDER, CHAT) == set()
