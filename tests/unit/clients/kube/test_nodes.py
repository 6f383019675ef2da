"""The allocatable memory of nodes: one list for a while, and whatever a node contains."""

from __future__ import annotations

import asyncio

import pytest

from memroll.clients.kube import nodes
from memroll.clients.kube.nodes import KubeNodeReader, decode_allocatable
from memroll.errors import ClusterUnavailableError, TerminalError
from tests.builders import MIB


def node(name, memory):
    return {"metadata": {"name": name}, "status": {"allocatable": {"cpu": "4", "memory": memory}}}


class Api:
    def __init__(self, *items):
        self.items, self.error, self.paths = list(items), None, []

    async def list_items(self, path, query=None):
        self.paths.append(path)
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        for raw in self.items:
            yield raw


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now_s = 1000.0

    monkeypatch.setattr(nodes.time, "monotonic", lambda: Clock.now_s)
    return Clock


@pytest.mark.parametrize(
    ("memory", "expected"),
    [
        ("4030180Ki", 4030180 * 1024),
        ("4Gi", 4096 * MIB),
        (1024, 1024),
        ("0", None),
        ("much", None),
        (None, None),
        ({}, None),
    ],
)
def test_memory_is_parsed_and_anything_else_is_unknown(memory, expected):
    assert decode_allocatable(node("n", memory)) == expected


@pytest.mark.parametrize(
    "raw", [{}, {"status": None}, {"status": {"allocatable": [1]}}, {"metadata": 3, "status": "x"}]
)
def test_a_malformed_node_is_unknown(raw):
    assert decode_allocatable(raw) is None


async def test_nodes_are_listed_once_for_a_while(clock):
    api = Api(node("a", "4Gi"), node("b", "8Gi"), node("c", None))
    reader = KubeNodeReader(api)
    found = await asyncio.gather(*(reader.list_node_memory() for _ in range(5)))
    assert found == [{"a": 4096 * MIB, "b": 8192 * MIB}] * 5
    assert api.paths == ["/api/v1/nodes"]
    clock.now_s += nodes.MAX_AGE_S - 1
    await reader.list_node_memory()
    assert len(api.paths) == 1
    clock.now_s += 2
    api.items = [node("d", "2Gi")]
    assert await reader.list_node_memory() == {"d": 2048 * MIB}


@pytest.mark.parametrize(
    "error", [TerminalError("Forbidden", "no"), ClusterUnavailableError("Down", "down"), ValueError("bug")]
)
async def test_an_error_leaves_what_is_known_and_is_not_repeated_at_once(clock, error):
    api = Api(node("a", "4Gi"))
    reader = KubeNodeReader(api)
    api.error = error
    assert await reader.list_node_memory() == {}
    api.error = None
    assert await reader.list_node_memory() == {}, "the request is not repeated for each policy"
    clock.now_s += nodes.RETRY_S
    assert await reader.list_node_memory() == {"a": 4096 * MIB}
    clock.now_s += nodes.MAX_AGE_S
    api.error = error
    assert await reader.list_node_memory() == {"a": 4096 * MIB}


async def test_the_number_of_nodes_is_bounded(monkeypatch):
    monkeypatch.setattr(nodes, "MAX_NODES", 3)
    found = await KubeNodeReader(Api(*(node(f"n{i}", "1Gi") for i in range(5)))).list_node_memory()
    assert list(found) == ["n0", "n1", "n2"]
