"""All readers and writers of this package as one object, which implements the protocols of the upper layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memroll.clients.kube.autoscalers import KubeAutoscalerReader
from memroll.clients.kube.custom_resources import CustomResources
from memroll.clients.kube.nodes import KubeNodeReader
from memroll.clients.kube.placement import KubePlacementReader
from memroll.clients.kube.pod_logs import KubeLogReader
from memroll.clients.kube.pod_writes import KubePodWriter
from memroll.clients.kube.pods import KubePodReader
from memroll.clients.kube.services import KubeNetworkReader
from memroll.clients.kube.target_pods import KubeTargetReader
from memroll.clients.kube.workloads import KubeWorkloadReader

if TYPE_CHECKING:
    from memroll.clients.kube.api_client import KubeApi
    from memroll.clients.kube.recent_replica_sets import RecentReplicaSets


class KubeCluster:
    """Composition of the readers and writers; each method is that of the part with the matching name."""

    def __init__(self, api: KubeApi, replica_sets: RecentReplicaSets | None = None) -> None:
        pods, services = KubePodReader(api), KubeNetworkReader(api)
        workloads, writer = KubeWorkloadReader(api, pods, replica_sets), KubePodWriter(api, pods)
        resources = CustomResources(api)
        self.list_pods, self.list_all_pods, self.get_pod = pods.list_pods, pods.list_all_pods, pods.get_pod
        self.iterate_pods = pods.iterate_pods
        self.get_workload, self.find_workload = workloads.get_workload, workloads.find_workload
        self.list_workload_pods = workloads.list_workload_pods
        targets = KubeTargetReader(api, pods)
        self.list_target_pods, self.resolve_target = targets.list_target_pods, targets.resolve_target
        self.get_namespace_annotations = workloads.get_namespace_annotations
        self.release, self.restore, self.add_owner = writer.release, writer.restore, writer.add_owner
        self.leave_to_workload = writer.leave_to_workload
        self.evict, self.list_released_pods = writer.evict, writer.list_released_pods
        self.dry_run_eviction, self.prefer_deletion = writer.dry_run_eviction, writer.prefer_deletion
        self.detach, self.restart = writer.detach, writer.restart
        self.find_detachment, self.find_selection = services.find_detachment, services.find_selection
        self.find_hash_selectors = services.find_hash_selectors
        self.find_missing_room = KubePlacementReader(api).find_missing_room
        self.list_node_memory = KubeNodeReader(api).list_node_memory
        self.list_autoscalers = KubeAutoscalerReader(api).list_autoscalers
        self.read_logs = KubeLogReader(api).read_logs
        self.list_policies, self.get_policy = resources.list_policies, resources.get_policy
        self.list_rolls, self.iterate_rolls = resources.list_rolls, resources.iterate_rolls
        self.get_roll, self.get_object = resources.get_roll, resources.get_object
        self.list_versions, self.iterate_objects = resources.list_versions, resources.iterate_objects
        self.server_now = resources.server_now
        self.create_roll, self.delete_roll = resources.create_roll, resources.delete_roll
        self.write_status, self.patch_spec = resources.write_status, resources.patch_spec
