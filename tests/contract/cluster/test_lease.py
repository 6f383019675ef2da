"""At most one process acts, whatever its clock, its network and its neighbours do."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from memroll.clients.kube.leader_election import Lease
from memroll.settings import Settings
from tests.contract.cluster.fake_api import FakeApi, Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from memroll.clients.kube.api_client import Api

LEASE = "/apis/coordination.k8s.io/v1/namespaces/memroll-system/leases/memroll"
SETTINGS = Settings(lease_seconds=15, identity="pod-a")


class Clock:
    """A monotonic clock moved by hand, and a wall clock that is as wrong as the test wants."""

    def __init__(self, wall: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self.seconds = 100.0
        self.wall = wall

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return self.wall + timedelta(seconds=self.seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def elector(api: Api, clock: Clock) -> Callable[..., Lease]:
    def build(own_clock: Clock = clock, settings: Settings = SETTINGS) -> Lease:
        return Lease(api, settings, own_clock.monotonic, own_clock.now)

    return build


def spec(server: FakeApi) -> dict[str, Any]:
    found: dict[str, Any] = server.get(LEASE)["spec"]
    return found


async def test_the_first_one_takes_it(server: FakeApi, elector: Callable[..., Lease]) -> None:
    lease = elector()
    assert not lease.is_leader()
    await lease.step()
    assert lease.is_leader()
    assert spec(server) == {
        "holderIdentity": lease.identity,
        "leaseDurationSeconds": 15,
        "acquireTime": "2026-01-01T00:01:40.000000Z",
        "renewTime": "2026-01-01T00:01:40.000000Z",
        "leaseTransitions": 0,
    }


async def test_two_processes_of_one_pod_name_are_two(elector: Callable[..., Lease]) -> None:
    assert elector().identity != elector().identity


async def test_a_renewal_changes_the_time_and_nothing_else(
    server: FakeApi, elector: Callable[..., Lease], clock: Clock
) -> None:
    lease = elector()
    await lease.step()
    before = dict(spec(server))
    clock.seconds += 5
    await lease.step()
    assert lease.is_leader()
    assert spec(server) == before | {"renewTime": "2026-01-01T00:01:45.000000Z"}


async def test_acting_ends_two_thirds_into_the_lease(elector: Callable[..., Lease], clock: Clock) -> None:
    lease = elector()
    await lease.step()
    clock.seconds += 9.9
    assert lease.is_leader()
    clock.seconds += 0.1
    assert not lease.is_leader()


async def test_the_time_counts_from_before_the_renewal_was_sent(elector: Callable[..., Lease], clock: Clock) -> None:
    lease = elector()
    await lease.step()
    answering = lease._api.request

    async def slow(*args: Any, **more: Any) -> dict[str, Any]:
        clock.seconds += 8
        return await answering(*args, **more)

    lease._api.request = slow  # type: ignore[method-assign]  # the clock must move during the call
    await lease.step()
    lease._api.request = answering  # type: ignore[method-assign]  # put back
    clock.seconds += 1.9
    assert lease.is_leader()
    clock.seconds += 0.1
    assert not lease.is_leader()


async def test_another_waits_for_a_whole_lease_without_change(
    server: FakeApi, elector: Callable[..., Lease], clock: Clock
) -> None:
    first, second = elector(), elector()
    await first.step()
    await second.step()
    clock.seconds += 14.9
    await second.step()
    assert not second.is_leader()
    clock.seconds += 0.1
    await second.step()
    assert second.is_leader()
    assert not first.is_leader()
    assert (spec(server)["holderIdentity"], spec(server)["leaseTransitions"]) == (second.identity, 1)


async def test_each_renewal_starts_the_wait_anew(elector: Callable[..., Lease], clock: Clock) -> None:
    first, second = elector(), elector()
    for _ in range(20):
        await first.step()
        await second.step()
        clock.seconds += 5
        assert first.is_leader()
        assert not second.is_leader()


async def test_a_longer_lease_that_the_holder_was_promised_is_kept(elector: Callable[..., Lease], clock: Clock) -> None:
    first = elector(settings=SETTINGS.model_copy(update={"lease_seconds": 60}))
    second = elector()
    await first.step()
    await second.step()
    clock.seconds += 30
    await second.step()
    assert first.is_leader()
    assert not second.is_leader()


async def test_a_leader_that_was_paused_never_acts_beside_its_successor(
    server: FakeApi, elector: Callable[..., Lease], clock: Clock
) -> None:
    paused, successor = elector(), elector()
    await paused.step()
    await successor.step()
    clock.seconds += 3600
    await successor.step()
    assert successor.is_leader()
    assert not paused.is_leader()
    await paused.step()
    assert not paused.is_leader()
    assert spec(server)["holderIdentity"] == successor.identity


@pytest.mark.parametrize("wrong", [timedelta(days=-400), timedelta(days=400)], ids=["behind", "ahead"])
async def test_a_wrong_wall_clock_takes_nothing_away(
    elector: Callable[..., Lease], clock: Clock, wrong: timedelta
) -> None:
    first, second = elector(), elector(Clock(clock.wall + wrong))
    await first.step()
    await second.step()
    assert first.is_leader()
    assert not second.is_leader()


async def test_of_many_that_race_one_wins(elector: Callable[..., Lease], clock: Clock) -> None:
    racers = [elector() for _ in range(10)]
    await asyncio.gather(*(r.step() for r in racers))
    assert sum(r.is_leader() for r in racers) == 1
    clock.seconds += 20
    await asyncio.gather(*(r.step() for r in racers))
    assert sum(r.is_leader() for r in racers) == 1


@pytest.mark.parametrize("kind", ["hang", "reset", "500", "429", "403"])
async def test_an_api_that_fails_ends_the_acting_and_not_the_process(
    server: FakeApi, api: Api, clock: Clock, kind: str
) -> None:
    lease = Lease(api, SETTINGS.model_copy(update={"lease_seconds": 2.0}), clock.monotonic, clock.now)
    await lease.step()
    server.faults.append(Fault(kind, times=99))
    clock.seconds += 1
    await lease.step()
    assert lease.is_leader()
    clock.seconds += 1
    await lease.step()
    assert not lease.is_leader()
    server.faults.clear()
    await lease.step()
    assert lease.is_leader()


async def test_a_renewal_whose_answer_was_lost_is_made_again(
    server: FakeApi, elector: Callable[..., Lease], clock: Clock
) -> None:
    lease = elector()
    await lease.step()
    server.faults.append(Fault("500", method="PUT", after=True))
    clock.seconds += 5
    await lease.step()
    clock.seconds += 4
    await lease.step()
    clock.seconds += 9
    assert lease.is_leader()


async def test_a_lease_that_someone_took_away_ends_the_acting_at_once(
    server: FakeApi, elector: Callable[..., Lease]
) -> None:
    lease = elector()
    await lease.step()
    server.touch(LEASE, lambda obj: obj["spec"].update(holderIdentity="someone"))
    await lease.step()
    assert not lease.is_leader()


async def test_a_lease_that_was_deleted_is_made_again(server: FakeApi, elector: Callable[..., Lease]) -> None:
    lease = elector()
    await lease.step()
    server.remove(LEASE)
    await lease.step()
    assert lease.is_leader()
    assert spec(server)["holderIdentity"] == lease.identity


async def test_the_loop_leads_and_gives_the_lease_back_when_it_is_stopped(server: FakeApi, api: Api) -> None:
    first, second = Lease(api, SETTINGS), Lease(api, SETTINGS)
    running = asyncio.create_task(first.run())
    await asyncio.wait_for(first.wait_leader(), 5)
    await second.step()
    assert not second.is_leader()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not first.is_leader()
    assert spec(server)["holderIdentity"] == ""
    await second.step()
    assert second.is_leader()
    assert spec(server)["leaseTransitions"] == 1


async def test_a_loser_gives_nothing_back(server: FakeApi, elector: Callable[..., Lease]) -> None:
    first, second = elector(), elector()
    await first.step()
    await second.step()
    await second.release()
    assert first.is_leader()
    assert spec(server)["holderIdentity"] == first.identity


async def test_a_seized_lease_silences_its_holder_and_keeps_others_out(
    server: FakeApi, elector: Callable[..., Lease], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    leader, other, retiring = elector(), elector(), elector()
    await leader.step()
    waited: list[float] = []

    async def pass_by(seconds: float) -> None:
        waited.append(seconds)
        clock.seconds += seconds

    monkeypatch.setattr(asyncio, "sleep", pass_by)
    await retiring.seize(120)
    assert waited == [15], "one lease: the old leader acts for two thirds of it"
    assert (leader.is_leader(), retiring.is_leader()) == (False, True)
    await leader.step()
    await other.step()
    clock.seconds += 100
    await leader.step()
    await other.step()
    assert not leader.is_leader()
    assert not other.is_leader()
    assert spec(server)["holderIdentity"] == retiring.identity
    clock.seconds += 21
    await other.step()
    assert other.is_leader(), "not for ever"
