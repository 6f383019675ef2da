"""Configuration files of the node: containerd, its network, the kubelet and kube-proxy."""

import json
from pathlib import Path

from localcluster import files, kubeconfig
from localcluster.kubernetes_version import KubernetesVersion
from localcluster.paths import CLUSTER_DOMAIN, PAUSE_IMAGE, ClusterPaths

PLUGINS = Path("/usr/lib/cni")
CNI_NETWORK = "memroll-local"
KNOWS_FAIL_CGROUP_V1 = KubernetesVersion(1, 31)
"""First version whose kubelet has the field failCgroupV1: an older one rejects it, and runs on cgroup v1 anyway."""

_CONTAINERD = """\
version = 2
root = {root}
state = {state}
oom_score = 0
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
]

[grpc]
  address = {socket}

[plugins."io.containerd.internal.v1.opt"]
  path = {opt}

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = {pause}
  # Where the machine may not lower oom_score_adj, runc fails without this.
  restrict_oom_score_adj = true
  # Below the state folder, every network namespace belongs to the cluster.
  netns_mounts_under_state_dir = true

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = {plugins}
    conf_dir = {cni}

  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "runc"
    snapshotter = "overlayfs"

    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"

      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        BinaryName = "/usr/sbin/runc"
        Root = {runc}
        SystemdCgroup = false
"""


def write_all(paths: ClusterPaths, *, bridge_filtered: bool) -> None:
    files.write(paths.config / "containerd.toml", containerd(paths))
    files.write_json(cni_folder(paths) / "10-memroll.conflist", cni(paths))
    files.write_yaml(paths.config / "kubelet.yaml", kubelet(paths))
    files.write_yaml(paths.config / "kube-proxy.yaml", kube_proxy(paths, bridge_filtered=bridge_filtered))
    files.write(paths.config / "resolv.conf", f"nameserver {paths.network.address}\n")


def cni_folder(paths: ClusterPaths) -> Path:
    return paths.config / "cni"


def containerd(paths: ClusterPaths) -> str:
    values = {
        "root": paths.state / "containerd",
        "state": paths.run / "containerd",
        "socket": paths.containerd_socket,
        "opt": paths.state / "containerd-opt",
        "pause": PAUSE_IMAGE,
        "plugins": PLUGINS,
        "cni": cni_folder(paths),
        "runc": paths.run / "runc",
    }
    # A JSON string is a TOML string.
    return _CONTAINERD.format(**{name: json.dumps(str(value)) for name, value in values.items()})


def cni(paths: ClusterPaths) -> dict[str, object]:
    network = paths.network
    addresses = {
        "type": "host-local",
        "dataDir": str(paths.state / "addresses"),
        "ranges": [
            [{"subnet": str(network.pods), "rangeStart": str(network.first_pod), "gateway": str(network.address)}]
        ],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {
        "type": "bridge",
        "bridge": network.bridge,
        "isGateway": True,
        "hairpinMode": True,
        "ipam": addresses,
    }
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "1.0.0", "name": CNI_NETWORK, "plugins": [bridge, portmap]}


def kubelet(paths: ClusterPaths) -> dict[str, object]:
    socket = f"unix://{paths.containerd_socket}"
    address = str(paths.network.address)
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": address,
        "port": paths.ports.kubelet,
        "healthzPort": paths.ports.kubelet_health,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(paths.pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(paths.pki / "kubelet-server.crt"),
        "tlsPrivateKeyFile": str(paths.pki / "kubelet-server.key"),
        "cgroupDriver": "cgroupfs",
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "containerRuntimeEndpoint": socket,
        "imageServiceEndpoint": socket,
        # There is no cluster DNS. The node refuses a lookup at once, where an absent server would time out.
        "clusterDNS": [address],
        "clusterDomain": CLUSTER_DOMAIN,
        "resolvConf": str(paths.config / "resolv.conf"),
        # Images come from this machine only: a collected one could not be pulled again.
        "imageGCHighThresholdPercent": 100,
        "imageMinimumGCAge": "24h",
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "nodeStatusUpdateFrequency": "4s",
        "syncFrequency": "10s",
        "podLogsDir": str(paths.pod_logs),
        "volumePluginDir": str(paths.state / "volume-plugins"),
        "registerNode": True,
    } | ({"failCgroupV1": False} if paths.kubernetes >= KNOWS_FAIL_CGROUP_V1 else {})


def kube_proxy(paths: ClusterPaths, *, bridge_filtered: bool) -> dict[str, object]:
    pods = str(paths.network.pods)
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "clientConnection": {"kubeconfig": str(kubeconfig.path(paths, "proxy"))},
        "clusterCIDR": pods,
        "detectLocalMode": "ClusterCIDR",
        "healthzBindAddress": f"127.0.0.1:{paths.ports.proxy_health}",
        "metricsBindAddress": f"127.0.0.1:{paths.ports.proxy_metrics}",
        "nodePortAddresses": [pods],
        "oomScoreAdj": 0,
        # The size of the machine's table is not the cluster's business.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        # Between two pods of one bridge, the reply bypasses the address translation unless bridged traffic is
        # filtered, too. If the kernel cannot do that, masquerading makes the reply return to the node.
        "iptables": {"masqueradeAll": not bridge_filtered, "minSyncPeriod": "200ms"},
    }
