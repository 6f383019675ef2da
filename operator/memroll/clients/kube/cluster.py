"""The cluster as one object: what the reconcile layer's ports are filled with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memroll.clients.kube.custom_resources import Records
from memroll.clients.kube.pod_logs import Logs
from memroll.clients.kube.pod_writes import Actions
from memroll.clients.kube.pods import Targets
from memroll.clients.kube.services import Services
from memroll.clients.kube.workloads import Workloads

if TYPE_CHECKING:
    from memroll.clients.kube.api_client import Api


class Cluster:
    """Composed, not inherited: each method belongs to the part that is named for it."""

    def __init__(self, api: Api) -> None:
        pods, records = Targets(api), Records(api)
        workloads, actions = Workloads(api, pods), Actions(api, pods)
        self.targets, self.pod = pods.targets, pods.pod
        self.workload, self.workload_of, self.owned_pods = (
            workloads.workload,
            workloads.workload_of,
            workloads.owned_pods,
        )
        self.selector_of, self.namespace_annotations = workloads.selector_of, workloads.namespace_annotations
        self.release, self.restore, self.own = actions.release, actions.restore, actions.own
        self.evict, self.released_pods = actions.evict, actions.released_pods
        self.detach, self.restart = actions.detach, actions.restart
        services = Services(api)
        self.detachment, self.hash_selected_by = services.detachment, services.hash_selected_by
        self.logs = Logs(api).logs
        self.policies, self.policy = records.policies, records.policy
        self.rolls, self.roll = records.rolls, records.roll
        self.create_roll, self.delete_roll = records.create_roll, records.delete_roll
        self.write_status = records.write_status
