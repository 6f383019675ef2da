"""MemoryPolicies and PodRolls are read and written without loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from memroll.api import POLICY_PLURAL, ROLL_PLURAL
from memroll.clients.kube.custom_resources import METADATA_ONLY, METADATA_PAGE_SIZE, CustomResources, ObjectVersion
from memroll.errors import ConflictError

if TYPE_CHECKING:
    from memroll.clients.kube.api_client import KubeApi
    from tests.contract.cluster.fake_api import FakeApi

PREFIX = "/apis/memroll.dev/v1alpha1/namespaces"


@pytest.fixture
def resources(api: KubeApi) -> CustomResources:
    return CustomResources(api)


async def test_policies_are_listed_for_all_or_for_some_namespaces(server: FakeApi, resources: CustomResources) -> None:
    for namespace in ("a", "b", "c"):
        server.add(f"{PREFIX}/{namespace}/memorypolicies", {"metadata": {"name": namespace}})
    assert [p["metadata"]["name"] for p in await resources.list_policies()] == ["a", "b", "c"]
    assert [p["metadata"]["name"] for p in await resources.list_policies(("c", "a"))] == ["c", "a"]
    one = await resources.get_policy("b", "b")
    assert one is not None
    assert one["metadata"]["namespace"] == "b"


async def test_a_roll_is_created_read_listed_and_deleted(resources: CustomResources) -> None:
    made = await resources.create_roll("ai", {"metadata": {"name": "r"}, "spec": {"podName": "chat-0"}})
    assert (made["apiVersion"], made["kind"]) == ("memroll.dev/v1alpha1", "PodRoll")
    assert await resources.get_roll("ai", "r") == made
    assert await resources.list_rolls("ai") == (made,)
    await resources.delete_roll("ai", "r", made["metadata"]["uid"])
    await resources.delete_roll("ai", "r")
    assert await resources.get_roll("ai", "r") is None


async def test_creating_an_existing_roll_is_a_conflict(resources: CustomResources) -> None:
    await resources.create_roll("ai", {"metadata": {"name": "r"}})
    with pytest.raises(ConflictError, match="AlreadyExists"):
        await resources.create_roll("ai", {"metadata": {"name": "r"}})


async def test_a_delete_with_a_uid_spares_another_roll_of_the_same_name(resources: CustomResources) -> None:
    await resources.create_roll("ai", {"metadata": {"name": "r"}})
    with pytest.raises(ConflictError):
        await resources.delete_roll("ai", "r", "another-uid")


async def test_a_status_write_replaces_the_status_and_keeps_the_spec(
    server: FakeApi, resources: CustomResources
) -> None:
    made = await resources.create_roll("ai", {"metadata": {"name": "r"}, "spec": {"podName": "p"}})
    first = await resources.write_status(ROLL_PLURAL, "ai", "r", made["metadata"]["resourceVersion"], {"a": 1, "b": 2})
    await resources.write_status(ROLL_PLURAL, "ai", "r", first["metadata"]["resourceVersion"], {"b": 3})
    stored = server.get(f"{PREFIX}/ai/podrolls/r")
    assert (stored["status"], stored["spec"]) == ({"b": 3}, {"podName": "p"})


async def test_a_status_write_with_a_stale_version_is_a_conflict(server: FakeApi, resources: CustomResources) -> None:
    server.add(f"{PREFIX}/ai/memorypolicies", {"metadata": {"name": "chat"}})
    read = await resources.get_policy("ai", "chat")
    assert read is not None
    server.touch(f"{PREFIX}/ai/memorypolicies/chat", lambda policy: policy.update(spec={"mode": "Observe"}))
    with pytest.raises(ConflictError):
        await resources.write_status(POLICY_PLURAL, "ai", "chat", read["metadata"]["resourceVersion"], {"a": 1})


async def test_versions_are_listed_without_any_other_field_in_pages(
    server: FakeApi, resources: CustomResources
) -> None:
    for n in range(METADATA_PAGE_SIZE + 1):
        server.add(f"{PREFIX}/ai/podrolls", {"metadata": {"name": f"r-{n}"}, "spec": {"podName": "chat-0"}})
    listed = await resources.list_versions(ROLL_PLURAL, "")
    first = server.get(f"{PREFIX}/ai/podrolls/r-0")["metadata"]
    assert listed[0] == ObjectVersion("ai", "r-0", first["uid"], first["resourceVersion"])
    assert len(listed) == METADATA_PAGE_SIZE + 1
    assert len(server.calls("GET", "podrolls?limit=500")) == 2
    items = [
        item async for item in resources._api.list_items("/apis/memroll.dev/v1alpha1/podrolls", accept=METADATA_ONLY)
    ]
    assert {tuple(item) for item in items} == {("metadata",)}


async def test_a_podroll_that_has_changed_is_not_deleted(server: FakeApi, resources: CustomResources) -> None:
    made = await resources.create_roll("ai", {"metadata": {"name": "r"}})
    server.touch(f"{PREFIX}/ai/podrolls/r", lambda raw: raw.update(spec={"cancel": True}))
    with pytest.raises(ConflictError, match="Precondition"):
        await resources.delete_roll("ai", "r", made["metadata"]["uid"], made["metadata"]["resourceVersion"])
