"""Cluster with those methods only that read: a command that inspects can't change anything, even by mistake."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from memroll.clients.kube.cluster import KubeCluster


class ReadOnlyCluster:
    """Readers of a cluster. It implements `reconcile.examine.ClusterReader`."""

    def __init__(self, cluster: KubeCluster) -> None:
        self.list_pods, self.list_all_pods, self.get_pod = cluster.list_pods, cluster.list_all_pods, cluster.get_pod
        self.list_target_pods, self.resolve_target = cluster.list_target_pods, cluster.resolve_target
        self.list_workload_pods, self.list_released_pods = cluster.list_workload_pods, cluster.list_released_pods
        self.find_workload = cluster.find_workload
        self.get_namespace_annotations = cluster.get_namespace_annotations
        self.find_detachment, self.find_selection = cluster.find_detachment, cluster.find_selection
        self.find_hash_selectors = cluster.find_hash_selectors
        self.list_node_memory = cluster.list_node_memory
        self.list_policies, self.get_policy = cluster.list_policies, cluster.get_policy
        self.list_rolls, self.iterate_rolls, self.get_roll = cluster.list_rolls, cluster.iterate_rolls, cluster.get_roll
        self.server_now = cluster.server_now
