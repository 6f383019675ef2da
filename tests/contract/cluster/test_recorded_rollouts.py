"""Rollouts as the controller of Argo Rollouts writes them: what memroll reads, and the strategy that it chooses."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from memroll.api.roll_spec import Strategy
from memroll.clients.kube.pods import KubePodReader
from memroll.clients.kube.services import KubeNetworkReader
from memroll.clients.kube.workloads import KubeWorkloadReader
from memroll.model.pods import ROLLOUT_HASH
from memroll.rolling.strategy import StrategyChoice
from memroll.rolling.strategy_choice import choose

if TYPE_CHECKING:
    from memroll.clients.kube.api_client import KubeApi
    from memroll.model.pods import Pod, Workload
    from tests.contract.cluster.fake_api import FakeApi

FOLDER = Path(__file__).with_name("recorded_rollouts")
NAMESPACE = "memroll-recorded"
PREFIXES = {
    "rollouts": "/apis/argoproj.io/v1alpha1",
    "replicasets": "/apis/apps/v1",
    "services": "/api/v1",
    "pods": "/api/v1",
}
WITH_SERVICES = ("blue-green", "canary-both")
WITHOUT_SERVICES = "canary"
ALL = (*WITH_SERVICES, WITHOUT_SERVICES)


@dataclass(frozen=True)
class ReadPod:
    """Pod with what memroll reads about it."""

    pod: Pod
    workload: Workload
    hash_selector: str


async def read_all(server: FakeApi, api: KubeApi, name: str) -> list[ReadPod]:
    """Read all pods of a recorded state."""
    recorded = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    for plural, objects in recorded.items():
        for obj in objects:
            server.add(f"{PREFIXES[plural]}/namespaces/{NAMESPACE}/{plural}", obj)
    pods = KubePodReader(api)
    workloads, network = KubeWorkloadReader(api, pods), KubeNetworkReader(api)
    found = []
    for pod in await pods.list_pods(NAMESPACE, ""):
        workload = await workloads.get_workload(pod)
        assert workload is not None
        assert (workload.owner.kind, workload.hash_label) == ("Rollout", ROLLOUT_HASH)
        found.append(ReadPod(pod, workload, (await network.find_selection(pod, ROLLOUT_HASH)).hash_selector))
    return found


@pytest.mark.parametrize("name", ALL)
async def test_a_healthy_rollout_is_complete_and_in_no_rollout(server: FakeApi, api: KubeApi, name: str) -> None:
    read = await read_all(server, api, f"{name}-healthy")
    assert len(read) == 2
    for one in read:
        assert one.workload.rollout_of(one.pod) == ""
        assert one.workload.restart_in_progress == ""
        assert (one.workload.replicas, one.workload.controller_replicas) == (2, 2)


@pytest.mark.parametrize("name", WITH_SERVICES)
async def test_pods_that_the_controller_s_services_select_are_evicted(server: FakeApi, api: KubeApi, name: str) -> None:
    for one in await read_all(server, api, f"{name}-healthy"):
        reason = f"Service web selects the pod by its label {ROLLOUT_HASH}"
        chosen = choose(Strategy.AUTO, one.pod, one.workload, hash_selector=one.hash_selector)
        assert chosen == StrategyChoice(Strategy.EVICT, reason)


async def test_pods_of_a_canary_without_services_are_surged(server: FakeApi, api: KubeApi) -> None:
    for one in await read_all(server, api, f"{WITHOUT_SERVICES}-healthy"):
        assert one.hash_selector == ""
        chosen = choose(Strategy.AUTO, one.pod, one.workload)
        assert isinstance(chosen, StrategyChoice)
        assert chosen.strategy is Strategy.SURGE


@pytest.mark.parametrize("name", ALL)
async def test_a_paused_rollout_is_one_for_the_pods_of_both_versions(server: FakeApi, api: KubeApi, name: str) -> None:
    read = await read_all(server, api, f"{name}-paused")
    assert len({one.workload.controller.name for one in read}) == 2
    for one in read:
        assert one.workload.rollout_of(one.pod).startswith("Rollout/web is updating from ")


@pytest.mark.parametrize("name", ALL)
async def test_a_restart_is_in_progress_until_the_controller_reports_its_time(
    server: FakeApi, api: KubeApi, name: str
) -> None:
    for one in await read_all(server, api, f"{name}-restarting"):
        assert one.workload.restart_in_progress.startswith("Rollout/web has not restarted all pods since ")
        assert one.workload.owner_rollout_in_progress == "", "only the time tells that it is in progress"


@pytest.mark.parametrize("name", ALL)
async def test_a_restart_ends_when_the_controller_reports_its_time(server: FakeApi, api: KubeApi, name: str) -> None:
    for one in await read_all(server, api, f"{name}-restarted"):
        assert one.workload.restart_in_progress == ""
        assert one.workload.rollout_of(one.pod) == ""
