import json
import tomllib
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml

from localcluster import kubeconfig, node_config, prometheus_config
from localcluster.components import all_components
from localcluster.layout import Layout


def flags(layout: Layout, name: str) -> dict[str, str]:
    pairs = (argument.partition("=") for argument in all_components(layout)[name].argv[1:])
    return {flag: value for flag, _, value in pairs}


def test_containerd_keeps_everything_in_the_clusters_own_folders(layout: Layout) -> None:
    config = tomllib.loads(node_config.containerd(layout))
    cri = config["plugins"]["io.containerd.grpc.v1.cri"]
    options = cri["containerd"]["runtimes"]["runc"]["options"]
    assert config["root"] == f"{layout.state}/containerd"
    assert config["state"] == f"{layout.run}/containerd"
    assert config["grpc"]["address"] == f"{layout.run}/containerd.sock"
    assert options == {"BinaryName": "/usr/sbin/runc", "Root": f"{layout.run}/runc", "SystemdCgroup": False}
    assert cri["sandbox_image"] == "localhost/memroll-pause:1"
    assert cri["netns_mounts_under_state_dir"] is True
    assert cri["restrict_oom_score_adj"] is True


def test_a_folder_with_a_quote_in_its_name_is_still_toml(layout: Layout, tmp_path: Path) -> None:
    odd = Layout(source=layout.source, cache=layout.cache, state=tmp_path / 'a "b" c', run=layout.run)
    assert tomllib.loads(node_config.containerd(odd))["root"] == f'{tmp_path}/a "b" c/containerd'


def test_pod_addresses_come_from_the_bridges_network_and_not_from_its_first_ten(layout: Layout) -> None:
    bridge: Any = node_config.cni(layout)["plugins"]
    [[addresses]] = bridge[0]["ipam"]["ranges"]
    assert bridge[0]["bridge"] == layout.network.bridge
    assert addresses == {"subnet": "10.231.0.0/24", "rangeStart": "10.231.0.10", "gateway": "10.231.0.1"}


def test_pod_and_service_networks_are_apart(layout: Layout) -> None:
    assert not ip_network(layout.network.pods).overlaps(ip_network(layout.network.services))


def test_the_kubelet_accepts_both_kinds_of_control_groups_and_nobody_without_a_certificate(layout: Layout) -> None:
    config: Any = node_config.kubelet(layout)
    assert config["failCgroupV1"] is False
    assert config["cgroupDriver"] == "cgroupfs"
    assert config["authentication"]["anonymous"] == {"enabled": False}
    assert config["authorization"] == {"mode": "Webhook"}


def test_the_kubelet_tells_cadvisor_where_containerd_is(layout: Layout) -> None:
    given = flags(layout, "kubelet")
    assert given["--containerd"] == str(layout.containerd_socket)
    assert given["--housekeeping-interval"] == "5s"


@pytest.mark.parametrize("bridge_filtered", [True, False])
def test_answers_between_pods_are_masqueraded_only_where_bridged_traffic_is_not_filtered(
    layout: Layout, *, bridge_filtered: bool
) -> None:
    config: Any = node_config.kube_proxy(layout, bridge_filtered=bridge_filtered)
    assert config["iptables"]["masqueradeAll"] is not bridge_filtered


def test_the_api_server_listens_on_the_bridge_only(layout: Layout) -> None:
    given = flags(layout, "kube-apiserver")
    assert given["--bind-address"] == given["--advertise-address"] == "10.231.0.1"
    assert given["--authorization-mode"] == "Node,RBAC"
    assert given["--service-cluster-ip-range"] == "10.232.0.0/16"


def test_no_two_components_want_the_same_port(layout: Layout) -> None:
    listeners = [listener for component in all_components(layout).values() for listener in component.listeners]
    ports = [listener.port for listener in listeners]
    assert len(set(ports)) == len(ports)


def test_only_loopback_and_the_bridge_are_listened_on(layout: Layout) -> None:
    found = {one.address for component in all_components(layout).values() for one in component.listeners}
    assert found == {"127.0.0.1", "10.231.0.1"}


def test_prometheus_scrapes_container_memory_every_five_seconds_at_its_own_time(layout: Layout) -> None:
    config: Any = prometheus_config.render(layout)
    cadvisor, pods = config["scrape_configs"]
    assert config["global"]["scrape_interval"] == "5s"
    assert cadvisor["honor_timestamps"] is False
    assert cadvisor["metrics_path"] == "/metrics/cadvisor"
    assert cadvisor["static_configs"] == [{"targets": ["10.231.0.1:10250"], "labels": {"node": "memroll-local"}}]
    assert pods["file_sd_configs"] == [{"files": [str(layout.scrape_targets)]}]


def test_the_first_start_has_an_empty_list_of_targets_and_a_later_one_keeps_its_own(layout: Layout) -> None:
    prometheus_config.write(layout)
    assert json.loads(layout.scrape_targets.read_text()) == []
    layout.scrape_targets.write_text('["kept"]')
    prometheus_config.write(layout)
    assert json.loads(layout.scrape_targets.read_text()) == ["kept"]


def test_a_kubeconfig_carries_its_certificates_and_is_for_its_owner_only(layout: Layout) -> None:
    layout.pki.mkdir(parents=True)
    for name in ("ca.crt", *(f"{c}.{end}" for c in (*kubeconfig.CLIENTS, "admin") for end in ("crt", "key"))):
        (layout.pki / name).write_text(name)
    kubeconfig.write_all(layout)
    config = yaml.safe_load(layout.kubeconfig.read_text())
    assert config["clusters"][0]["cluster"]["server"] == "https://10.231.0.1:6443"
    assert config["users"][0]["user"]["client-key-data"] == "YWRtaW4ua2V5"
    assert layout.kubeconfig.stat().st_mode & 0o777 == 0o600
