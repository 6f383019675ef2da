"""MemoryPolicies and PodRolls: nothing is lost between what is written and what is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from memroll.clients.kube.custom_resources import POLICIES, ROLLS, Records
from memroll.errors import Conflict

if TYPE_CHECKING:
    from memroll.clients.kube.api_client import Api
    from tests.contract.cluster.fake_api import FakeApi

PREFIX = "/apis/memroll.dev/v1alpha1/namespaces"


@pytest.fixture
def records(api: Api) -> Records:
    return Records(api)


async def test_policies_are_read_from_all_namespaces_or_from_those_named(server: FakeApi, records: Records) -> None:
    for namespace in ("a", "b", "c"):
        server.add(f"{PREFIX}/{namespace}/memorypolicies", {"metadata": {"name": namespace}})
    assert [p["metadata"]["name"] for p in await records.policies()] == ["a", "b", "c"]
    assert [p["metadata"]["name"] for p in await records.policies(("c", "a"))] == ["c", "a"]
    one = await records.policy("b", "b")
    assert one is not None
    assert one["metadata"]["namespace"] == "b"


async def test_a_roll_is_created_read_listed_and_deleted(records: Records) -> None:
    made = await records.create_roll("ai", {"metadata": {"name": "r"}, "spec": {"podName": "chat-0"}})
    assert (made["apiVersion"], made["kind"]) == ("memroll.dev/v1alpha1", "PodRoll")
    assert await records.roll("ai", "r") == made
    assert await records.rolls("ai") == (made,)
    await records.delete_roll("ai", "r", made["metadata"]["uid"])
    await records.delete_roll("ai", "r")
    assert await records.roll("ai", "r") is None


async def test_a_roll_that_exists_already_is_a_conflict(records: Records) -> None:
    await records.create_roll("ai", {"metadata": {"name": "r"}})
    with pytest.raises(Conflict, match="AlreadyExists"):
        await records.create_roll("ai", {"metadata": {"name": "r"}})


async def test_a_delete_never_meets_another_roll_of_the_same_name(records: Records) -> None:
    await records.create_roll("ai", {"metadata": {"name": "r"}})
    with pytest.raises(Conflict):
        await records.delete_roll("ai", "r", "another-uid")


async def test_a_status_is_replaced_and_the_spec_is_not(server: FakeApi, records: Records) -> None:
    made = await records.create_roll("ai", {"metadata": {"name": "r"}, "spec": {"podName": "p"}})
    first = await records.write_status(ROLLS, "ai", "r", made["metadata"]["resourceVersion"], {"a": 1, "b": 2})
    await records.write_status(ROLLS, "ai", "r", first["metadata"]["resourceVersion"], {"b": 3})
    stored = server.get(f"{PREFIX}/ai/podrolls/r")
    assert (stored["status"], stored["spec"]) == ({"b": 3}, {"podName": "p"})


async def test_a_stale_writer_of_a_status_gets_a_conflict(server: FakeApi, records: Records) -> None:
    server.add(f"{PREFIX}/ai/memorypolicies", {"metadata": {"name": "chat"}})
    read = await records.policy("ai", "chat")
    assert read is not None
    server.touch(f"{PREFIX}/ai/memorypolicies/chat", lambda policy: policy.update(spec={"mode": "Observe"}))
    with pytest.raises(Conflict):
        await records.write_status(POLICIES, "ai", "chat", read["metadata"]["resourceVersion"], {"a": 1})
