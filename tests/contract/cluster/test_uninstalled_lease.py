"""The Lease after an uninstall keeps the old operator from acting, and not the one of a new installation."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from memroll.clients.kube.leader_election import LeaderElector
from memroll.settings import Settings
from tests.contract.cluster.fake_api import Fault
from tests.contract.cluster.test_leader_election import LEASE, Clock, spec

if TYPE_CHECKING:
    from memroll.clients.kube.api_client import KubeApi
    from tests.contract.cluster.fake_api import FakeApi

ROOT = Path(__file__).parents[3]
OLD, NEW = "uid-of-the-old-account", "uid-of-the-new-account"
REVIEWS = "selfsubjectreviews"


class Installations:
    """Processes of two installations, and the Job that uninstalls the first."""

    def __init__(self, server: FakeApi, api: KubeApi, clock: Clock) -> None:
        self.server, self.api, self.clock = server, api, clock

    def process(self, name: str) -> LeaderElector:
        return LeaderElector(self.api, Settings(identity=name), self.clock.monotonic, self.clock.now)

    async def uninstall(self, hold_s: float = 500) -> None:
        """Do what the Job does: take over the Lease of the old installation, and mark it at the end."""
        self.server.user_uid = OLD
        job = self.process("memroll-pre-delete")
        await job.take_over(hold_s)
        await job.mark_uninstalled(300)
        assert not job.is_leader()

    async def step(self, process: LeaderElector, account: str) -> bool:
        """Let a process with this ServiceAccount try to acquire the Lease; return whether it leads."""
        self.server.user_uid = account
        await process.step()
        return process.is_leader()


@pytest.fixture
def installations(server: FakeApi, api: KubeApi, monkeypatch: pytest.MonkeyPatch) -> Installations:
    clock = Clock()

    async def pass_by(seconds: float) -> None:
        clock.seconds += seconds

    monkeypatch.setattr("memroll.clients.kube.leader_election.asyncio.sleep", pass_by)
    return Installations(server, api, clock)


async def test_a_new_installation_acquires_the_lease_at_once(installations: Installations) -> None:
    old, new = installations.process("old"), installations.process("new")
    assert await installations.step(old, OLD)
    await installations.uninstall()
    assert spec(installations.server)["holderIdentity"] == f"uninstalled:{OLD}"
    assert await installations.step(new, NEW)
    assert not await installations.step(old, OLD), "the old pod may still be terminating"


async def test_the_old_operator_resumes_only_if_it_is_not_removed_in_time(installations: Installations) -> None:
    old, restarted = installations.process("old"), installations.process("restarted")
    await installations.step(old, OLD)
    await installations.uninstall()
    for _ in range(59):
        assert not await installations.step(old, OLD)
        assert not await installations.step(restarted, OLD)
        installations.clock.seconds += 5
    installations.clock.seconds += 6
    assert await installations.step(old, OLD), "the uninstall was given up"


async def test_an_uninstall_can_be_repeated_after_its_job_has_succeeded(installations: Installations) -> None:
    old = installations.process("old")
    await installations.step(old, OLD)
    await installations.uninstall()
    await installations.uninstall()
    assert not await installations.step(old, OLD)
    assert await installations.step(installations.process("new"), NEW)


@pytest.mark.parametrize("account", ["", OLD], ids=["no account", "the same account"])
async def test_a_process_that_may_be_of_the_uninstalled_installation_waits(
    installations: Installations, account: str
) -> None:
    await installations.uninstall()
    assert not await installations.step(installations.process("new"), account)


@pytest.mark.parametrize("fault", ["403", "401", "500"])
async def test_a_process_that_can_not_read_its_account_waits(installations: Installations, fault: str) -> None:
    await installations.uninstall()
    installations.server.faults.append(Fault(fault, path=REVIEWS, times=99))
    assert not await installations.step(installations.process("new"), NEW)


async def test_without_the_mark_everybody_waits_for_the_job_s_lease(installations: Installations) -> None:
    installations.server.faults.append(Fault("403", path=REVIEWS, times=99))
    await installations.uninstall(hold_s=120)
    assert spec(installations.server)["holderIdentity"].startswith("uninstalling:memroll-pre-delete_")
    installations.server.faults.clear()
    new = installations.process("new")
    assert not await installations.step(new, NEW)
    installations.clock.seconds += 121
    assert await installations.step(new, NEW)


@pytest.mark.parametrize("holder", ["uninstalled:", f"uninstalled:{OLD}", "uninstalling:job", "someone"])
async def test_only_a_marked_lease_of_another_account_is_taken_at_once(
    installations: Installations, holder: str
) -> None:
    await installations.step(installations.process("old"), OLD)
    installations.server.touch(LEASE, lambda obj: obj["spec"].update(holderIdentity=holder))
    assert await installations.step(installations.process("new"), NEW) == (holder == f"uninstalled:{OLD}")


def leadership(process: LeaderElector) -> tuple[bool, str]:
    found = process.leadership()
    return found.someone_leads, found.message


async def test_a_standby_reports_who_leads(installations: Installations) -> None:
    leader, standby = installations.process("leader"), installations.process("standby")
    assert leadership(standby) == (False, "nobody leads: lease memroll was not read yet")
    await installations.step(leader, OLD)
    await installations.step(standby, OLD)
    assert leadership(leader) == (True, f"{leader.identity} leads")
    assert leadership(standby) == (True, f"standby: {leader.identity} leads")
    installations.clock.seconds += 16
    assert leadership(standby) == (False, f"nobody leads: {leader.identity} no longer renews lease memroll")
    assert leadership(leader) == (False, f"nobody leads: {leader.identity} can't renew lease memroll")


async def test_a_standby_reports_an_uninstall_and_its_end(installations: Installations) -> None:
    job, standby = installations.process("job"), installations.process("standby")
    await job.take_over(120)
    await installations.step(standby, OLD)
    message = f"nobody leads: {job.identity} uninstalls memroll and holds lease memroll for at most 120 s more"
    assert leadership(standby) == (False, message)
    await installations.uninstall()
    await installations.step(standby, OLD)
    message = (
        "nobody leads: memroll was uninstalled: this process acts in at most 300 s, when lease memroll expires,"
        " or as soon as the lease is deleted"
    )
    assert leadership(standby) == (False, message)


async def test_a_standby_logs_each_leader_once(installations: Installations, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "memroll")
    first, second, standby = (installations.process(name) for name in ("first", "second", "standby"))

    async def renew(leader: LeaderElector) -> None:
        for _ in range(3):
            await installations.step(leader, OLD)
            await installations.step(standby, OLD)
            installations.clock.seconds += 5

    await renew(first)
    await first.release()
    await renew(second)
    logged = [r.getMessage() for r in caplog.records if "standby: " in r.getMessage()]
    assert logged == [f"standby: {first.identity} leads", f"standby: {second.identity} leads"]


@pytest.mark.parametrize("left", [False, True], ids=["all restored", "a roll is left"])
async def test_the_command_marks_the_lease_only_if_nothing_is_left(
    server: FakeApi, kubeconfig: str, *, left: bool
) -> None:
    server.user_uid = OLD
    if left:
        server.faults.append(Fault("403", path="podrolls", times=99))
    environment = {k: v for k, v in os.environ.items() if k != "KUBERNETES_SERVICE_HOST"}
    environment |= {"KUBECONFIG": kubeconfig, "PYTHONPATH": str(ROOT / "operator")}
    environment |= {"MEMROLL_LEASE_SECONDS": "2", "MEMROLL_IDENTITY": "job"}
    command = (sys.executable, "-m", "memroll", "cleanup", "--timeout=1s")
    process = await asyncio.create_subprocess_exec(*command, env=environment)
    assert await process.wait() == int(left)
    holder = spec(server)["holderIdentity"]
    assert holder.startswith("uninstalling:job_") if left else holder == f"uninstalled:{OLD}"
