"""Pods of the workload that a policy names in `targetRef`: by their owners, for labels may overlap.

A Deployment `chat` that selects `app=chat` also selects the pods of a Deployment `chat-canary` with more labels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memroll.clients.kube.api_client import build_path
from memroll.clients.kube.json_access import get_str
from memroll.clients.kube.pods import get_controller
from memroll.clients.kube.workloads import PLURALS, read_selector
from memroll.errors import TerminalError
from memroll.model.target import TargetControllers, controller_uid_of

if TYPE_CHECKING:
    from memroll.clients.kube.api_client import Json, KubeApi
    from memroll.clients.kube.pods import KubePodReader
    from memroll.model.pods import Pod

_APPS = "apps/v1"
_OWNERS_OF_REPLICA_SETS = ("Deployment", "Rollout")


class KubeTargetReader:
    """Reads the pods of one named workload."""

    def __init__(self, api: KubeApi, pods: KubePodReader) -> None:
        self._api = api
        self._pods = pods

    async def list_target_pods(self, namespace: str, api_version: str, kind: str, name: str) -> tuple[Pod, ...]:
        """Return the pods that a workload owns, with those that a roll has released from it.

        Raises NotFoundError if it does not exist, TerminalError for an empty selector and an unsupported kind.
        """
        target = await self.resolve_target(namespace, api_version, kind, name)
        pods = await self._pods.list_pods(namespace, target.selector)
        return tuple(p for p in pods if controller_uid_of(p) in target.uids)

    async def resolve_target(self, namespace: str, api_version: str, kind: str, name: str) -> TargetControllers:
        """Return the controllers of a workload's pods; raise as `list_target_pods` does."""
        plural = PLURALS.get((api_version, kind))
        if plural is None:
            raise TerminalError("Invalid", f"targetRef {api_version} {kind} is not supported")
        raw = await self._api.request("GET", build_path(f"/apis/{api_version}", namespace, plural, name))
        selector = await read_selector(self._api, namespace, kind, name, raw)
        controllers = {get_str(raw, "metadata", "uid")}
        if kind in _OWNERS_OF_REPLICA_SETS:
            controllers = await self._replica_sets(namespace, selector, controllers)
        return TargetControllers(selector, frozenset(controllers))

    async def _replica_sets(self, namespace: str, selector: str, owners: set[str]) -> set[str]:
        """Return the uids of the ReplicaSets of all revisions; their labels are those of their pods."""
        path = build_path(f"/apis/{_APPS}", namespace, "replicasets")
        items = self._api.list_items(path, {"labelSelector": selector})
        return {get_str(rs, "metadata", "uid") async for rs in items if _owner_uid(rs) in owners}


def _owner_uid(raw: Json) -> str:
    controller = get_controller(raw)
    return controller.uid if controller else ""
