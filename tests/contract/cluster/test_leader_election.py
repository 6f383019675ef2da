"""At most one process is the leader, whatever its clock, its network and other processes do."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from memroll.clients.kube.leader_election import LeaderElector
from memroll.settings import Settings
from tests.contract.cluster.fake_api import FakeApi, Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from memroll.clients.kube.api_client import KubeApi

LEASE = "/apis/coordination.k8s.io/v1/namespaces/memroll-system/leases/memroll"
SETTINGS = Settings(lease_seconds=15, identity="pod-a")


class Clock:
    """Monotonic clock advanced by the test, and a wall clock that may be wrong."""

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
def elector(api: KubeApi, clock: Clock) -> Callable[..., LeaderElector]:
    def build(own_clock: Clock = clock, settings: Settings = SETTINGS) -> LeaderElector:
        return LeaderElector(api, settings, own_clock.monotonic, own_clock.now)

    return build


def spec(server: FakeApi) -> dict[str, Any]:
    found: dict[str, Any] = server.get(LEASE)["spec"]
    return found


async def test_the_first_process_acquires_the_lease(server: FakeApi, elector: Callable[..., LeaderElector]) -> None:
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


async def test_two_processes_of_one_pod_have_different_identities(elector: Callable[..., LeaderElector]) -> None:
    assert elector().identity != elector().identity


async def test_a_renewal_changes_only_the_renew_time(
    server: FakeApi, elector: Callable[..., LeaderElector], clock: Clock
) -> None:
    lease = elector()
    await lease.step()
    before = dict(spec(server))
    clock.seconds += 5
    await lease.step()
    assert lease.is_leader()
    assert spec(server) == before | {"renewTime": "2026-01-01T00:01:45.000000Z"}


async def test_leadership_ends_after_two_thirds_of_the_lease(
    elector: Callable[..., LeaderElector], clock: Clock
) -> None:
    lease = elector()
    await lease.step()
    clock.seconds += 9.9
    assert lease.is_leader()
    clock.seconds += 0.1
    assert not lease.is_leader()


async def test_a_short_loss_of_the_lease_begins_another_term(
    elector: Callable[..., LeaderElector], clock: Clock
) -> None:
    lease = elector()
    terms = [lease.term]
    for seconds in (0.0, 5.0, 9.9, 10.1):
        clock.seconds += seconds
        await lease.step()
        terms.append(lease.term)
    assert terms == [0, 1, 1, 1, 2]


async def test_leadership_is_measured_from_the_sending_of_the_renewal(
    elector: Callable[..., LeaderElector], clock: Clock
) -> None:
    lease = elector()
    await lease.step()
    original_request = lease._api.request

    async def slow(*args: Any, **more: Any) -> dict[str, Any]:
        clock.seconds += 8
        return await original_request(*args, **more)

    lease._api.request = slow  # type: ignore[method-assign]  # the clock must move during the call
    await lease.step()
    lease._api.request = original_request  # type: ignore[method-assign]  # restored
    clock.seconds += 1.9
    assert lease.is_leader()
    clock.seconds += 0.1
    assert not lease.is_leader()


async def test_another_process_waits_for_a_whole_lease_without_change(
    server: FakeApi, elector: Callable[..., LeaderElector], clock: Clock
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


async def test_each_renewal_restarts_the_wait(elector: Callable[..., LeaderElector], clock: Clock) -> None:
    first, second = elector(), elector()
    for _ in range(20):
        await first.step()
        await second.step()
        clock.seconds += 5
        assert first.is_leader()
        assert not second.is_leader()


async def test_a_longer_duration_in_the_lease_is_respected(elector: Callable[..., LeaderElector], clock: Clock) -> None:
    first = elector(settings=SETTINGS.model_copy(update={"lease_seconds": 60}))
    second = elector()
    await first.step()
    await second.step()
    clock.seconds += 30
    await second.step()
    assert first.is_leader()
    assert not second.is_leader()


async def test_a_paused_leader_never_acts_after_its_successor(
    server: FakeApi, elector: Callable[..., LeaderElector], clock: Clock
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
async def test_a_wrong_wall_clock_does_not_end_the_leadership(
    elector: Callable[..., LeaderElector], clock: Clock, wrong: timedelta
) -> None:
    first, second = elector(), elector(Clock(clock.wall + wrong))
    await first.step()
    await second.step()
    assert first.is_leader()
    assert not second.is_leader()


async def test_one_of_many_racing_processes_wins(elector: Callable[..., LeaderElector], clock: Clock) -> None:
    racers = [elector() for _ in range(10)]
    await asyncio.gather(*(r.step() for r in racers))
    assert sum(r.is_leader() for r in racers) == 1
    clock.seconds += 20
    await asyncio.gather(*(r.step() for r in racers))
    assert sum(r.is_leader() for r in racers) == 1


@pytest.mark.parametrize("kind", ["hang", "reset", "500", "429", "403"])
async def test_a_failing_api_server_ends_the_leadership_but_not_the_process(
    server: FakeApi, api: KubeApi, clock: Clock, kind: str
) -> None:
    lease = LeaderElector(api, SETTINGS.model_copy(update={"lease_seconds": 2.0}), clock.monotonic, clock.now)
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


async def test_a_renewal_with_a_lost_response_is_retried(
    server: FakeApi, elector: Callable[..., LeaderElector], clock: Clock
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


async def test_a_lease_taken_by_another_process_ends_the_leadership_at_once(
    server: FakeApi, elector: Callable[..., LeaderElector]
) -> None:
    lease = elector()
    await lease.step()
    server.touch(LEASE, lambda obj: obj["spec"].update(holderIdentity="someone"))
    await lease.step()
    assert not lease.is_leader()


async def test_a_deleted_lease_is_created_again(server: FakeApi, elector: Callable[..., LeaderElector]) -> None:
    lease = elector()
    await lease.step()
    server.remove(LEASE)
    await lease.step()
    assert lease.is_leader()
    assert spec(server)["holderIdentity"] == lease.identity


async def test_run_acquires_the_lease_and_releases_it_when_cancelled(server: FakeApi, api: KubeApi) -> None:
    first, second = LeaderElector(api, SETTINGS), LeaderElector(api, SETTINGS)
    running = asyncio.create_task(first.run())
    await asyncio.wait_for(first.wait_until_leader(), 5)
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


async def test_a_process_without_the_lease_releases_nothing(
    server: FakeApi, elector: Callable[..., LeaderElector]
) -> None:
    first, second = elector(), elector()
    await first.step()
    await second.step()
    await second.release()
    assert first.is_leader()
    assert spec(server)["holderIdentity"] == first.identity


async def test_a_lease_that_was_taken_over_stops_its_holder_and_excludes_others(
    server: FakeApi, elector: Callable[..., LeaderElector], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    leader, other, retiring = elector(), elector(), elector()
    await leader.step()
    waited: list[float] = []

    async def pass_by(seconds: float) -> None:
        waited.append(seconds)
        clock.seconds += seconds

    monkeypatch.setattr(asyncio, "sleep", pass_by)
    await retiring.take_over(120)
    assert waited == [15], "one lease: the old leader acts for two thirds of it"
    assert (leader.is_leader(), retiring.is_leader()) == (False, True)
    await leader.step()
    await other.step()
    clock.seconds += 100
    await leader.step()
    await other.step()
    assert not leader.is_leader()
    assert not other.is_leader()
    assert spec(server)["holderIdentity"] == f"uninstalling:{retiring.identity}"
    clock.seconds += 21
    await other.step()
    assert other.is_leader(), "not forever"
