"""Leader election with one Lease, so that at most one process acts.

A leader acts only until two thirds of the lease duration after it *sent* its last successful renewal. Another process
takes over only after it has observed the Lease unchanged for the whole duration. Both use their own monotonic clocks,
so neither a wrong wall clock nor a process that was stopped for a while lets two processes act at once; nor does a
machine that was suspended, for that time counts.
"""

from __future__ import annotations

import asyncio
import logging
import math
import uuid
from typing import TYPE_CHECKING, Any

from memroll import clock
from memroll.clients.kube.api_client import build_path
from memroll.clients.kube.json_access import get_dict, get_int, get_str, get_str_dict
from memroll.clients.kube.lease_holder import UNINSTALLED, UNINSTALLING, Leadership, LeaseHolder
from memroll.errors import ConflictError, MemrollError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from memroll.clients.kube.api_client import Json, KubeApi
    from memroll.settings import Settings

PREFIX = "/apis/coordination.k8s.io/v1"
LEASE_LABELS = {"app.kubernetes.io/name": "memroll", "app.kubernetes.io/component": "leader-election"}
"""Labels by which commands find the Lease of an installation with another name."""
SELF_REVIEWS = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
"""Path that returns the own user; every authenticated user may call it."""
NEVER = float("-inf")

_log = logging.getLogger(__name__)


class LeaderElector:
    """Acquires, renews and releases one Lease. Callers check `is_leader()` right before each write."""

    def __init__(
        self,
        api: KubeApi,
        settings: Settings,
        monotonic: Callable[[], float] = clock.elapsed_s,
        now: Callable[[], datetime] = clock.now,
    ) -> None:
        self.identity = f"{settings.identity}_{uuid.uuid4().hex[:8]}"
        """Unique per process: a restarted container must not mistake its predecessor's lease for its own."""
        self._api = api
        self._namespace, self._name = settings.namespace, settings.lease_name
        self._lease_s = settings.lease_seconds
        self._retry_s = settings.lease_seconds / 3
        self._monotonic, self._now = monotonic, now
        self._leader_until = NEVER
        self.term = 0
        """Number of times that this process became the leader: also after a loss too short for `is_leader` to show."""
        self._was_leader = False
        self._became_leader = asyncio.Event()
        self._seen: Json = {}
        self._unchanged_since = NEVER
        self._installation = ""
        self._logged_holder: str | None = None

    def is_leader(self) -> bool:
        return self._monotonic() < self._leader_until

    async def wait_until_leader(self) -> None:
        while not self.is_leader():
            self._became_leader.clear()
            await self._became_leader.wait()

    async def run(self) -> None:
        """Acquire the Lease and renew it, despite all errors, until cancelled; then release it."""
        try:
            while True:
                started = self._monotonic()
                await self.step()
                await asyncio.sleep(max(0.0, self._retry_s - (self._monotonic() - started)))
        finally:
            await self.release()

    async def step(self) -> None:
        """Try once to acquire or renew the Lease. Errors of the API server are logged, not raised."""
        sent_at = self._monotonic()
        try:
            held = await self._acquire_or_renew()
        except MemrollError as error:
            _log.warning("can't renew lease %s: %s", self._name, error)
        else:
            if held and not self.is_leader():
                self.term += 1
            self._leader_until = sent_at + self._lease_s * 2 / 3 if held else NEVER
            if held:
                self._logged_holder = None
                self._became_leader.set()
            else:
                self._log_holder()
        self._log_changes()

    def leadership(self) -> Leadership:
        """Return who leads, as this process last observed it."""
        if self.is_leader():
            return Leadership(f"{self.identity} leads", someone_leads=True)
        if not self._seen:
            return Leadership(f"nobody leads: lease {self._name} was not read yet")
        if self._holder() == self.identity:
            return Leadership(f"nobody leads: {self.identity} can't renew lease {self._name}")
        return self._observed_holder().leadership()

    async def release(self) -> None:
        """Release the Lease, so that another process need not wait. This process stops acting first."""
        self._leader_until = NEVER
        self._log_changes()
        if self._holder() != self.identity:
            return
        try:
            await self._replace(self._spec(holder=""))
        except MemrollError as error:
            _log.warning("can't release lease %s: %s", self._name, error)

    async def take_over(self, hold_s: float) -> None:
        """Take the Lease from its holder, and keep it for `hold_s`, even after this process has ended.

        Returns once the previous holder can no longer act: it acts for two thirds of the lease duration after its last
        renewal, and can no longer renew. Raises memroll's errors.
        """
        until = self._monotonic() + self._lease_s
        while not await self._try_take_over(hold_s):
            if self._monotonic() > until:
                message = f"can't take over lease {self._name}: {self._holder()} keeps writing it"
                raise ConflictError("Conflict", message)
        await asyncio.sleep(self._lease_s)
        self._leader_until = self._monotonic() + hold_s - self._lease_s
        self._log_changes()

    async def mark_uninstalled(self, hold_s: float) -> None:
        """Keep operators of this installation from the Lease for `hold_s`, but not those of a later installation.

        Without the mark they all wait until the Lease that was taken over expires, so an error is logged, not raised.
        """
        try:
            holder = UNINSTALLED + await self._read_installation()
            await self._replace(self._spec(holder) | {"leaseDurationSeconds": math.ceil(hold_s)})
        except MemrollError as error:
            _log.warning("can't mark lease %s: a new installation waits until it expires: %s", self._name, error)
        self._leader_until = NEVER
        self._log_changes()

    async def _try_take_over(self, hold_s: float) -> bool:
        """Read and replace the Lease once; return False if its holder wrote it in between."""
        try:
            self._observe(await self._call("GET", self._path()))
        except NotFoundError:
            await self._create()
        try:
            holder = UNINSTALLING + self.identity
            return await self._replace(self._spec(holder) | {"leaseDurationSeconds": math.ceil(hold_s)})
        except ConflictError:
            return False

    def _holder(self) -> str:
        return get_str(self._seen, "spec", "holderIdentity")

    async def _acquire_or_renew(self) -> bool:
        """Renew the Lease, or acquire it if it is available; return whether this process holds it now."""
        if self._holder() == self.identity:
            try:
                return await self._replace(self._spec(self.identity))
            except (ConflictError, NotFoundError):
                _log.info("lease %s was changed by another process", self._name)
        try:
            self._observe(await self._call("GET", self._path()))
        except NotFoundError:
            return await self._create()
        if not self._is_available() and not await self._is_of_earlier_installation():
            return False
        try:
            return await self._replace(self._spec(self.identity))
        except ConflictError:
            return False

    def _observe(self, raw: Json) -> None:
        """Record the Lease and when it last changed."""
        if get_str(raw, "metadata", "resourceVersion") != get_str(self._seen, "metadata", "resourceVersion"):
            self._unchanged_since = self._monotonic()
        self._seen = raw

    def _is_available(self) -> bool:
        return self._holder() in ("", self.identity) or self._observed_holder().expires_in_s <= 0

    def _observed_holder(self) -> LeaseHolder:
        duration_s = max(self._lease_s, get_int(self._seen, "spec", "leaseDurationSeconds"))
        return LeaseHolder(self._name, self._holder(), self._unchanged_since + duration_s - self._monotonic())

    async def _is_of_earlier_installation(self) -> bool:
        """Return whether the Lease was left by an installation that was uninstalled before this one was installed."""
        uninstalled = self._observed_holder().uninstalled
        if not uninstalled:
            return False
        try:
            own = await self._read_installation()
        except MemrollError as error:
            _log.warning("can't read the own ServiceAccount: waiting until lease %s expires: %s", self._name, error)
            return False
        return own not in ("", uninstalled)

    async def _read_installation(self) -> str:
        """Return the uid of the own ServiceAccount, of which each installation has its own; empty if there is none."""
        if not self._installation:
            body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
            review = await self._call("POST", SELF_REVIEWS, body)
            self._installation = get_str(review, "status", "userInfo", "uid")
        return self._installation

    async def _create(self) -> bool:
        body = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self._name, "namespace": self._namespace, "labels": LEASE_LABELS},
            "spec": self._spec(self.identity),
        }
        try:
            self._observe(await self._call("POST", build_path(PREFIX, self._namespace, "leases"), body))
        except ConflictError:
            return False
        return True

    async def _replace(self, spec: dict[str, Any]) -> bool:
        """Replace the Lease; raise ConflictError if it changed since it was last read."""
        metadata = get_dict(self._seen, "metadata")
        labels = get_str_dict(metadata, "labels") | LEASE_LABELS
        body = {**self._seen, "metadata": {**metadata, "labels": labels}, "spec": spec}
        self._observe(await self._call("PUT", self._path(), body))
        return True

    async def _call(self, method: str, path: str, body: Json | None = None) -> Json:
        """Send a request. Three of them fit into one period, so that a hanging API server can't delay the next try."""
        return await self._api.request(method, path, body=body, timeout_s=self._retry_s * 0.3)

    def _spec(self, holder: str) -> dict[str, Any]:
        old = get_dict(self._seen, "spec")
        at = self._now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        changed = get_str(old, "holderIdentity") != holder
        return {
            **old,
            "holderIdentity": holder,
            "leaseDurationSeconds": math.ceil(self._lease_s),
            "acquireTime": at if changed else old.get("acquireTime", at),
            "renewTime": at,
            "leaseTransitions": get_int(old, "leaseTransitions") + int(changed and bool(holder) and bool(old)),
        }

    def _path(self) -> str:
        return build_path(PREFIX, self._namespace, "leases", self._name)

    def _log_holder(self) -> None:
        """Log who leads, once for each holder of the Lease."""
        if self._holder() != self._logged_holder:
            self._logged_holder = self._holder()
            _log.info("%s", self.leadership().message)

    def _log_changes(self) -> None:
        """Log each gain and loss of the leadership once."""
        is_leader = self.is_leader()
        if is_leader != self._was_leader:
            _log.info("%s %s lease %s", self.identity, "acquired" if is_leader else "lost", self._name)
        self._was_leader = is_leader
