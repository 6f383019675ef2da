import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from localcluster import node_config
from localcluster.kubernetes_version import KubernetesVersion
from localcluster.paths import ClusterPaths


def test_containerd_keeps_everything_in_the_cluster_s_folders(paths: ClusterPaths) -> None:
    config = tomllib.loads(node_config.containerd(paths))
    cri = config["plugins"]["io.containerd.grpc.v1.cri"]
    options = cri["containerd"]["runtimes"]["runc"]["options"]
    assert config["root"] == f"{paths.state}/containerd"
    assert config["state"] == f"{paths.run}/containerd"
    assert config["grpc"]["address"] == f"{paths.run}/containerd.sock"
    assert options == {"BinaryName": "/usr/sbin/runc", "Root": f"{paths.run}/runc", "SystemdCgroup": False}
    assert cri["sandbox_image"] == "localhost/memroll-pause:1"
    assert cri["netns_mounts_under_state_dir"] is True
    assert cri["restrict_oom_score_adj"] is True


def test_a_folder_with_a_quote_in_its_name_is_valid_toml(paths: ClusterPaths, tmp_path: Path) -> None:
    odd = ClusterPaths(source=paths.source, cache=paths.cache, state=tmp_path / 'a "b" c', run=paths.run)
    assert tomllib.loads(node_config.containerd(odd))["root"] == f'{tmp_path}/a "b" c/containerd'


def test_pod_addresses_are_of_the_bridge_s_network_except_its_first_ten(paths: ClusterPaths) -> None:
    bridge: Any = node_config.cni(paths)["plugins"]
    [[addresses]] = bridge[0]["ipam"]["ranges"]
    assert bridge[0]["bridge"] == paths.network.bridge
    assert addresses == {"subnet": "10.231.0.0/24", "rangeStart": "10.231.0.10", "gateway": "10.231.0.1"}


def test_the_kubelet_accepts_both_cgroup_versions_and_no_anonymous_clients(paths: ClusterPaths) -> None:
    config: Any = node_config.kubelet(paths)
    assert config["failCgroupV1"] is False
    assert config["cgroupDriver"] == "cgroupfs"
    assert config["authentication"]["anonymous"] == {"enabled": False}
    assert config["authorization"] == {"mode": "Webhook"}


@pytest.mark.parametrize(("minor", "known"), [(30, False), (31, True)])
def test_a_kubelet_older_than_1_31_gets_no_field_that_it_rejects(
    paths: ClusterPaths, minor: int, *, known: bool
) -> None:
    config = node_config.kubelet(replace(paths, kubernetes=KubernetesVersion(1, minor)))
    assert ("failCgroupV1" in config) is known


@pytest.mark.parametrize("bridge_filtered", [True, False])
def test_replies_between_pods_are_masqueraded_only_if_bridged_traffic_is_not_filtered(
    paths: ClusterPaths, *, bridge_filtered: bool
) -> None:
    config: Any = node_config.kube_proxy(paths, bridge_filtered=bridge_filtered)
    assert config["iptables"]["masqueradeAll"] is not bridge_filtered
