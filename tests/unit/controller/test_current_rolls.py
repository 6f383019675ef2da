"""PodRolls as they are now: the index's records of the listed versions, and the objects that it does not have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from memroll import clock
from memroll.clients.kube.custom_resources import ObjectVersion
from memroll.controller.context import new_roll_index
from memroll.controller.current_rolls import CurrentRolls
from memroll.controller.index_resync import MAX_SINGLE_READS
from memroll.model.roll_record import RollRecord
from tests.builders import roll_json

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def raw_roll(name: str, version: str = "1", phase: str = "Succeeded", namespace: str = "demo") -> dict[str, Any]:
    raw = roll_json(phase)
    meta = {"name": name, "uid": f"uid-{name}", "resourceVersion": version, "namespace": namespace}
    return raw | {"metadata": raw["metadata"] | meta}


class Server:
    """API server that counts its requests."""

    def __init__(self, *raws: dict[str, Any]) -> None:
        self.raws = {raw["metadata"]["name"]: raw for raw in raws}
        self.requests: list[str] = []

    async def list_versions(self, plural: str, namespace: str) -> tuple[ObjectVersion, ...]:
        self.requests.append(f"versions {plural} {namespace}")
        metas = [raw["metadata"] for raw in self.raws.values()]
        return tuple(ObjectVersion(m["namespace"], m["name"], m["uid"], m["resourceVersion"]) for m in metas)

    async def iterate_rolls(self, namespace: str) -> AsyncIterator[dict[str, Any]]:
        self.requests.append(f"objects {namespace}")
        for raw in self.raws.values():
            yield raw

    async def get_roll(self, namespace: str, name: str) -> dict[str, Any] | None:
        self.requests.append(name)
        return self.raws.get(name)


async def read(server: Server, *known: dict[str, Any], is_current: bool = True, without: str = "") -> Any:
    """Return phases by name: those of records, and those of objects in lower case."""
    index = new_roll_index()
    for raw in known:
        index.put(index.decode(raw))
    if is_current:
        index.confirm(clock.elapsed_s())
    found = {}
    async for item in CurrentRolls(server, index).iterate("demo", without):
        if isinstance(item, RollRecord):
            found[item.name] = str(item.status.phase)
        else:
            found[item["metadata"]["name"]] = item["status"]["phase"].lower()
    assert len(index) == len(known), "the watch enqueues what is new in the index"
    return found


async def test_what_the_index_has_of_the_listed_version_is_not_read():
    server = Server(raw_roll("a"), raw_roll("b"))
    assert await read(server, raw_roll("a"), raw_roll("b")) == {"a": "Succeeded", "b": "Succeeded"}
    assert server.requests == ["versions podrolls demo"]


@pytest.mark.parametrize(
    "known",
    [
        pytest.param([], id="not known"),
        pytest.param([raw_roll("a", "1", "Announced")], id="an older version"),
        pytest.param([raw_roll("a", "9", "Announced")], id="a newer one: etcd was restored"),
        pytest.param([raw_roll("a", "2") | {"spec": {"podName": "UPPER"}}], id="invalid in the index"),
    ],
)
async def test_what_the_index_has_of_another_version_is_read(known: list[dict[str, Any]]):
    server = Server(raw_roll("a", "2", "Replacing"), raw_roll("b"))
    assert await read(server, *known, raw_roll("b")) == {"a": "replacing", "b": "Succeeded"}
    assert server.requests == ["versions podrolls demo", "a"]


async def test_what_is_only_in_the_index_is_gone():
    assert await read(Server(raw_roll("a")), raw_roll("a"), raw_roll("gone")) == {"a": "Succeeded"}


async def test_one_that_vanishes_meanwhile_is_gone():
    class Vanishing(Server):
        async def get_roll(self, namespace: str, name: str) -> dict[str, Any] | None:
            return None

    assert await read(Vanishing(raw_roll("a"), raw_roll("b")), raw_roll("a")) == {"a": "Succeeded"}


async def test_the_roll_itself_is_left_out():
    server = Server(raw_roll("a", "2"), raw_roll("b"))
    assert await read(server, raw_roll("a"), raw_roll("b"), without="uid-a") == {"b": "Succeeded"}
    assert server.requests == ["versions podrolls demo"]


async def test_many_unknown_ones_are_listed():
    raws = [raw_roll(f"r{i}", "2") for i in range(MAX_SINGLE_READS + 1)]
    server = Server(*raws)
    assert len(await read(server, raw_roll("r0", "2"))) == len(raws)
    assert len(server.requests) == 1 + MAX_SINGLE_READS
    server = Server(*raws)
    assert set((await read(server)).values()) == {"succeeded"}
    assert server.requests == ["versions podrolls demo", "objects demo"]


async def test_an_index_that_was_not_compared_with_the_server_is_not_used():
    server = Server(raw_roll("a"))
    assert await read(server, raw_roll("a"), is_current=False) == {"a": "succeeded"}
    assert server.requests == ["objects demo"]
