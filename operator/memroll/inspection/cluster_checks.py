"""Preflight of the cluster: version, CRDs, operator, rights, admission policy, policies and clock."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from memroll.api import API_VERSION, GROUP, POLICY_PLURAL, ROLL_PLURAL
from memroll.api.conditions import ConditionStatus, ConditionType
from memroll.api.decode import decode_valid
from memroll.api.policy import MemoryPolicy
from memroll.api.quantity import humanize_duration
from memroll.clients.kube.api_client import build_path
from memroll.clients.kube.json_access import get_bool, get_dicts, get_int, get_str, get_time
from memroll.clients.kube.leader_election import LEASE_LABELS, PREFIX
from memroll.errors import MemrollError, NotFoundError, TerminalError
from memroll.inspection.checks import failed, from_error, ok, skipped, warning
from memroll.inspection.operator_rights import OPTIONAL_RIGHTS, effects, operator_rights
from memroll.inspection.remedies import NOT_INSTALLED, is_unauthorized

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence
    from datetime import datetime

    from memroll.clients.kube.api_client import Json, KubeApi
    from memroll.inspection.checks import CheckItem
    from memroll.inspection.operator_rights import Right
    from memroll.settings import Settings

FORBIDDEN = "Forbidden"
"""Reason of an error about a missing permission."""
MIN_VERSION = (1, 30)
"""Oldest supported minor version of Kubernetes, as in docs/compatibility.md."""
MAX_CLOCK_SKEW_S = 30.0
"""Maximum difference in seconds between two clocks; chosen by hand: the newest samples of a minute would be missing."""
MAX_NAMED = 5
"""Maximum number of objects that a message names; chosen by hand."""
READING = (("list", GROUP, POLICY_PLURAL), ("list", GROUP, ROLL_PLURAL), ("list", "", "pods"))
"""Permissions that the commands need: verb, API group and resource."""
ADMISSION_POLICIES = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
OURS = {"labelSelector": "app.kubernetes.io/name=memroll"}
"""Query of the objects of the chart."""


@dataclass(frozen=True, slots=True)
class ClusterPreflight:
    """Checks of one cluster. None of them writes."""

    api: KubeApi
    settings: Settings
    namespace: str
    """Namespace of the policies to check; empty: those that the operator watches."""
    now: Callable[[], datetime]
    as_operator: bool
    """True if the requests have the rights of the operator, so that these can be checked."""

    @property
    def namespaces(self) -> tuple[str, ...]:
        """Namespaces of the policies to check; an empty name stands for all."""
        return (self.namespace,) if self.namespace else self.settings.watch_namespaces or ("",)

    async def run(self) -> tuple[CheckItem, ...]:
        """Return the results, in the order in which problems have to be solved.

        Raise MemrollError if the cluster can't be reached, or does not accept the credentials.
        """
        checks = {
            "clock of the cluster": self._clock,
            "CRDs": self._crds,
            "operator": self._operator,
            "rights": self._rights,
            "admission policy": self._admission_policy,
            "policies": self._policies,
        }
        reached = await self._reach("cluster")
        return (reached, *[await self._safely(name, check) for name, check in checks.items()])

    async def _reach(self, name: str) -> CheckItem:
        try:
            return await self._version(name)
        except TerminalError as error:
            if error.reason != FORBIDDEN or is_unauthorized(error.message):
                raise
            return from_error(name, error)

    async def _safely(self, name: str, check: Callable[[str], Awaitable[CheckItem]]) -> CheckItem:
        try:
            return await check(name)
        except MemrollError as error:
            return from_error(name, error)

    async def _version(self, name: str) -> CheckItem:
        version = get_str(await self.api.request("GET", "/version"), "gitVersion")
        parts = re.match(r"v?(\d+)\.(\d+)", version)
        if parts is None:
            return warning(name, f"the version {version!r} can't be read")
        if (int(parts[1]), int(parts[2])) < MIN_VERSION:
            return failed(name, f"Kubernetes {version}: memroll needs 1.30 or newer")
        return ok(name, f"Kubernetes {version}")

    async def _clock(self, name: str) -> CheckItem:
        server = self.api.server_now()
        if server is None:
            return skipped(name, "the API server sends no date")
        return clock_item(name, (server - self.now()).total_seconds())

    async def _crds(self, name: str) -> CheckItem:
        try:
            served = await self.api.request("GET", f"/apis/{API_VERSION}")
        except NotFoundError:
            return failed(name, NOT_INSTALLED)
        names = {get_str(resource, "name") for resource in get_dicts(served, "resources")}
        missing = [plural for plural in (POLICY_PLURAL, ROLL_PLURAL) if plural not in names]
        if missing:
            return failed(name, f"not served: {', '.join(missing)}: 'memroll crds | kubectl apply --server-side -f -'")
        return ok(name, f"{API_VERSION} is served")

    async def _operator(self, name: str) -> CheckItem:
        namespace, lease = self.settings.namespace, self.settings.lease_name
        raw = await self._read_lease()
        if raw is None:
            message = f"no Lease {lease} in namespace {namespace}: install memroll, or give its --operator-namespace"
            return failed(name, message)
        holder, renewed = get_str(raw, "spec", "holderIdentity"), get_time(raw, "spec", "renewTime")
        duration_s = get_int(raw, "spec", "leaseDurationSeconds", default=round(self.settings.lease_seconds))
        age_s = None if renewed is None else (self.now() - renewed).total_seconds()
        if not holder or age_s is None or age_s > duration_s:
            ago = "" if age_s is None else f" for {humanize_duration(age_s)}"
            where = f"kubectl get pods -n {namespace}"
            return failed(name, f"nobody leads{ago}: see '{where}' and the logs of the operator")
        return ok(name, f"{holder} leads")

    async def _read_lease(self) -> Json | None:
        """Return the Lease of the operator: that of the settings, else the one with the labels of memroll's Leases.

        A release of the chart that is not called memroll has another name.
        """
        path = build_path(PREFIX, self.settings.namespace, "leases")
        try:
            return await self.api.request("GET", f"{path}/{self.settings.lease_name}")
        except NotFoundError:
            selector = ",".join(f"{name}={value}" for name, value in LEASE_LABELS.items())
            found = [raw async for raw in self.api.list_items(path, {"labelSelector": selector})]
            return found[0] if len(found) == 1 else None

    async def _rights(self, name: str) -> CheckItem:
        needed = dict.fromkeys([*READING, *(operator_rights(self.settings) if self.as_operator else ())])
        whose = "the operator may not" if self.as_operator else "you may not"
        try:
            denied = await self._denied(needed)
        except TerminalError as error:
            if error.reason != FORBIDDEN:
                raise
            review = "create selfsubjectaccessreviews, as each user of a cluster may by default"
            return failed(name, f"{whose} {review}: request it from an administrator")
        if denied:
            named = ", ".join(_right(right, namespace) for right, namespace in denied)
            return failed(name, f"{whose} {named}: request it from an administrator")
        missing = await self._denied(OPTIONAL_RIGHTS) if self.as_operator else []
        if missing:
            named = _named(_right(right, namespace) for right, namespace in missing)
            return warning(name, f"{whose} {named}: {effects(right for right, _ in missing)}")
        return ok(name, f"{'the operator has' if self.as_operator else 'you have'} the {len(needed)} that are needed")

    async def _denied(self, rights: Iterable[Right]) -> list[tuple[Right, str]]:
        """Return the permissions that are missing in a namespace, with the namespace."""
        asked = [(right, namespace) for namespace in self.namespaces for right in rights]
        return [(right, namespace) for right, namespace in asked if not await self._is_allowed(right, namespace)]

    async def _is_allowed(self, right: Right, namespace: str) -> bool:
        verb, group, resource = right
        plural, _, subresource = resource.partition("/")
        attributes = {"verb": verb, "group": group, "resource": plural, "namespace": namespace}
        body: dict[str, Any] = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes | ({"subresource": subresource} if subresource else {})},
        }
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        return get_bool(await self.api.request("POST", path, body=body), "status", "allowed")

    async def _admission_policy(self, name: str) -> CheckItem:
        if not self.settings.allow_acting:
            return ok(name, "not needed: memroll may not evict pods")
        found = [get_str(raw, "metadata", "name") async for raw in self.api.list_items(ADMISSION_POLICIES, OURS)]
        if not found:
            return warning(name, "none: set enforcement.admissionPolicy in the chart, which restricts the operator")
        return ok(name, ", ".join(found[:MAX_NAMED]))

    async def _policies(self, name: str) -> CheckItem:
        paths = [build_path(f"/apis/{API_VERSION}", namespace, POLICY_PLURAL) for namespace in self.namespaces]
        raws = [raw for path in paths async for raw in self.api.list_items(path)]
        invalid: list[dict[str, Any]] = []
        policies = tuple(decode_valid(raws, MemoryPolicy.read, invalid.append))
        not_ready = [f"{p.namespace}/{p.name}" for p in policies if not _is_ready(p)]
        if not raws:
            return warning(name, "none: nothing is watched until there is one, see README.md for a first policy")
        if invalid:
            names = (f"{get_str(r, 'metadata', 'namespace')}/{get_str(r, 'metadata', 'name')}" for r in invalid)
            return warning(name, f"invalid: {_named(names)}: see 'kubectl describe mempol'")
        if not_ready:
            return warning(name, f"not Ready: {_named(not_ready)}: see 'memroll status'")
        return ok(name, f"{len(policies)}, all Ready")


def clock_item(name: str, skew_s: float) -> CheckItem:
    """Return the result of a comparison of a clock with that of this machine."""
    if abs(skew_s) > MAX_CLOCK_SKEW_S:
        direction = "ahead of" if skew_s > 0 else "behind"
        message = f"{humanize_duration(abs(skew_s))} {direction} this machine: synchronize both (NTP)"
        return warning(name, message)
    return ok(name, f"{abs(skew_s):.0f} s off this machine")


def _right(right: Right, namespace: str) -> str:
    verb, group, resource = right
    plural, slash, subresource = resource.partition("/")
    scope = f" in {namespace}" if namespace else ""
    return f"{verb} {plural}{'.' + group if group else ''}{slash}{subresource}{scope}"


def _named(names: Iterable[str]) -> str:
    listed: Sequence[str] = tuple(names)
    more = f" and {len(listed) - MAX_NAMED} more" if len(listed) > MAX_NAMED else ""
    return f"{', '.join(listed[:MAX_NAMED])}{more}"


def _is_ready(policy: MemoryPolicy) -> bool:
    return any(c.type is ConditionType.READY and c.status is ConditionStatus.TRUE for c in policy.status.conditions)
