"""Deletion of PodRolls: by age and number, in every namespace, whatever the time on a clock."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from memroll.errors import ClusterUnavailableError, ConflictError, MemrollError, TerminalError
from memroll.model.roll_record import RollRecord
from memroll.reconcile.retention import MAX_EXPIRED, MAX_SURPLUS, delete_expired
from memroll.rolling.retention import MAX_FINISHED_ROLLS
from tests.builders import NOW, at, roll_json

DAY = timedelta(days=1)


def record(n: int, age: timedelta, phase: str = "Succeeded", namespace: str = "demo") -> RollRecord:
    raw = roll_json(phase, created=NOW - age)
    meta = {"name": f"roll-{n}", "uid": f"uid-{n}", "namespace": namespace}
    return RollRecord.read(raw | {"metadata": raw["metadata"] | meta})


class Store:
    """Store that keeps the names of the deleted PodRolls, or raises."""

    def __init__(self, error: MemrollError | None = None) -> None:
        self.error = error
        self.deleted: list[str] = []

    async def delete_roll(self, namespace: str, name: str, uid: str, resource_version: str) -> None:
        assert (uid, resource_version) == (name.replace("roll", "uid"), "3")
        self.deleted.append(name)
        if self.error is not None:
            raise self.error


async def deleted(rolls: Any, now: Any = NOW, server_now: Any = NOW) -> list[str]:
    store = Store()
    assert await delete_expired([rolls], store, now, server_now) == len(store.deleted)  # type: ignore[arg-type]
    return store.deleted


async def test_finished_podrolls_are_deleted_by_their_age():
    assert await deleted([record(1, 8 * DAY), record(2, 6 * DAY), record(3, 8 * DAY, "Draining")]) == ["roll-1"]


async def test_the_oldest_beyond_the_number_per_namespace_are_deleted_but_none_of_the_last_hour():
    rolls = [record(n, timedelta(minutes=n)) for n in range(1, MAX_FINISHED_ROLLS + 51)]
    assert await deleted(rolls) == [f"roll-{n}" for n in range(150, 100, -1)]
    assert await deleted([record(n, timedelta(seconds=n)) for n in range(200)]) == []


async def test_podrolls_of_each_namespace_are_kept():
    store = Store()
    by_namespace = [[record(n, 2 * DAY, namespace=ns) for n in range(60)] for ns in ("a", "b")]
    assert await delete_expired(by_namespace, store, NOW, NOW) == 0  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("now", "server_now"), [(NOW + 3650 * DAY, NOW), (NOW, NOW + 3650 * DAY), (NOW + 3650 * DAY, None)]
)
async def test_a_clock_that_is_years_ahead_deletes_nothing(now, server_now):
    assert await deleted([record(n, DAY) for n in range(10)], now, server_now) == []


async def test_if_both_clocks_jump_only_the_oldest_few_are_deleted():
    later = NOW + 3650 * DAY
    rolls = [record(n, timedelta(hours=n)) for n in range(MAX_FINISHED_ROLLS)]
    assert await deleted(rolls, later, later) == [f"roll-{n}" for n in range(99, 99 - MAX_EXPIRED, -1)]


async def test_a_flood_is_deleted_in_portions():
    rolls = [record(n, timedelta(hours=2)) for n in range(1000)]
    assert len(await deleted(rolls)) == MAX_SURPLUS


@pytest.mark.parametrize(
    ("error", "tried"),
    [
        pytest.param(TerminalError("Refused", "no"), 2, id="refused"),
        pytest.param(ConflictError("Conflict", "changed"), 2, id="changed meanwhile"),
        pytest.param(ClusterUnavailableError("Timeout", "no response"), 1, id="unavailable"),
    ],
)
async def test_an_error_is_not_raised_and_ends_the_deletion_if_the_api_server_is_unavailable(error, tried):
    store = Store(error)
    assert await delete_expired([[record(1, 8 * DAY), record(2, 9 * DAY)]], store, at(0), at(0)) == 0  # type: ignore[arg-type]
    assert len(store.deleted) == tried
