from dataclasses import replace

from localcluster.components import all_components
from localcluster.kubernetes_version import KubernetesVersion
from localcluster.paths import ClusterPaths


def flags(paths: ClusterPaths, name: str) -> dict[str, str]:
    pairs = (argument.partition("=") for argument in all_components(paths)[name].argv[1:])
    return {flag: value for flag, _, value in pairs}


def test_the_kubelet_passes_containerd_s_socket_to_cadvisor(paths: ClusterPaths) -> None:
    given = flags(paths, "kubelet")
    assert given["--containerd"] == str(paths.containerd_socket)
    assert given["--housekeeping-interval"] == "5s"


def test_a_kubelet_without_the_flag_gets_containerd_s_socket_from_the_environment(paths: ClusterPaths) -> None:
    def kubelet(minor: int) -> tuple[bool, tuple[tuple[str, str], ...]]:
        version = KubernetesVersion(1, minor)
        found = all_components(replace(paths, kubernetes=version))["kubelet"]
        return any(argument.startswith("--containerd=") for argument in found.argv), found.environment

    assert kubelet(30) == kubelet(36) == (True, ())
    assert kubelet(37) == (False, (("MEMROLL_CONTAINERD", str(paths.containerd_socket)),))


def test_the_api_server_listens_on_the_bridge_only(paths: ClusterPaths) -> None:
    given = flags(paths, "kube-apiserver")
    assert given["--bind-address"] == given["--advertise-address"] == "10.231.0.1"
    assert given["--authorization-mode"] == "Node,RBAC"
    assert given["--service-cluster-ip-range"] == "10.232.0.0/16"


def test_no_two_components_use_the_same_port(paths: ClusterPaths) -> None:
    listeners = [listener for component in all_components(paths).values() for listener in component.listeners]
    ports = [listener.port for listener in listeners]
    assert len(set(ports)) == len(ports)


def test_only_loopback_and_the_bridge_are_listened_on(paths: ClusterPaths) -> None:
    found = {one.address for component in all_components(paths).values() for one in component.listeners}
    assert found == {"127.0.0.1", "10.231.0.1"}
