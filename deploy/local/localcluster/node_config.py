"""The configuration files of what runs on the node: containerd, its network, the kubelet and kube-proxy."""

import json
from pathlib import Path

from localcluster import files, kubeconfig
from localcluster.layout import CLUSTER_DOMAIN, PAUSE_IMAGE, Layout

PLUGINS = Path("/usr/lib/cni")
CNI_NETWORK = "memroll-local"

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
  # Below the state folder, every network namespace is known to be ours.
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


def write_all(layout: Layout, *, bridge_filtered: bool) -> None:
    files.write(layout.config / "containerd.toml", containerd(layout))
    files.write_json(cni_folder(layout) / "10-memroll.conflist", cni(layout))
    files.write_yaml(layout.config / "kubelet.yaml", kubelet(layout))
    files.write_yaml(layout.config / "kube-proxy.yaml", kube_proxy(layout, bridge_filtered=bridge_filtered))
    files.write(layout.config / "resolv.conf", f"nameserver {layout.network.address}\n")


def cni_folder(layout: Layout) -> Path:
    return layout.config / "cni"


def containerd(layout: Layout) -> str:
    values = {
        "root": layout.state / "containerd",
        "state": layout.run / "containerd",
        "socket": layout.containerd_socket,
        "opt": layout.state / "containerd-opt",
        "pause": PAUSE_IMAGE,
        "plugins": PLUGINS,
        "cni": cni_folder(layout),
        "runc": layout.run / "runc",
    }
    # A JSON string is a TOML string.
    return _CONTAINERD.format(**{name: json.dumps(str(value)) for name, value in values.items()})


def cni(layout: Layout) -> dict[str, object]:
    network = layout.network
    addresses = {
        "type": "host-local",
        "dataDir": str(layout.state / "addresses"),
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


def kubelet(layout: Layout) -> dict[str, object]:
    socket = f"unix://{layout.containerd_socket}"
    address = str(layout.network.address)
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": address,
        "port": layout.ports.kubelet,
        "healthzPort": layout.ports.kubelet_health,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(layout.pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(layout.pki / "kubelet-server.crt"),
        "tlsPrivateKeyFile": str(layout.pki / "kubelet-server.key"),
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": False,
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "containerRuntimeEndpoint": socket,
        "imageServiceEndpoint": socket,
        # Nobody serves names here; the node refuses the question at once, where an absent server would time out.
        "clusterDNS": [address],
        "clusterDomain": CLUSTER_DOMAIN,
        "resolvConf": str(layout.config / "resolv.conf"),
        # Images come from this machine alone: one that is collected could not be pulled again.
        "imageGCHighThresholdPercent": 100,
        "imageMinimumGCAge": "24h",
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "nodeStatusUpdateFrequency": "4s",
        "syncFrequency": "10s",
        "podLogsDir": str(layout.pod_logs),
        "volumePluginDir": str(layout.state / "volume-plugins"),
        "registerNode": True,
    }


def kube_proxy(layout: Layout, *, bridge_filtered: bool) -> dict[str, object]:
    pods = str(layout.network.pods)
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "clientConnection": {"kubeconfig": str(kubeconfig.path(layout, "proxy"))},
        "clusterCIDR": pods,
        "detectLocalMode": "ClusterCIDR",
        "healthzBindAddress": f"127.0.0.1:{layout.ports.proxy_health}",
        "metricsBindAddress": f"127.0.0.1:{layout.ports.proxy_metrics}",
        "nodePortAddresses": [pods],
        "oomScoreAdj": 0,
        # The machine's table is not ours to size.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        # Between two pods of one bridge the answer bypasses the address translation unless bridged traffic is
        # filtered too; where the kernel cannot do that, the answer must be made to come back to the node.
        "iptables": {"masqueradeAll": not bridge_filtered, "minSyncPeriod": "200ms"},
    }
