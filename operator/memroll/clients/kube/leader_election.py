"""Who may act: one Lease, held by one process at a time.

A process acts only until two thirds of the lease after it *sent* its last successful renewal; another takes over
only after it has itself seen the Lease unchanged for all of it. Both measure on their own monotonic clocks, so
neither a wrong wall clock nor a process that was stopped for a while lets two act at once.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
import uuid
from typing import TYPE_CHECKING, Any

from memroll import clock
from memroll.clients.kube.api_client import path_of
from memroll.clients.kube.json_access import mapping, number, text
from memroll.errors import Conflict, MemrollError, NotFound

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from memroll.clients.kube.api_client import Api, Json
    from memroll.settings import Settings

PREFIX = "/apis/coordination.k8s.io/v1"
NEVER = float("-inf")

_log = logging.getLogger(__name__)


class Lease:
    """Takes, renews and gives back one Lease. Ask `is_leader()` right before each act."""

    def __init__(
        self,
        api: Api,
        settings: Settings,
        monotonic: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = clock.now,
    ) -> None:
        self.identity = f"{settings.identity}_{uuid.uuid4().hex[:8]}"
        """Unique per process: a restarted container must not take its predecessor's lease for its own."""
        self._api = api
        self._namespace, self._name = settings.namespace, settings.lease_name
        self._lease_s = settings.lease_seconds
        self._retry_s = settings.lease_seconds / 3
        self._monotonic, self._now = monotonic, now
        self._acts_until = NEVER
        self._led = False
        self._won = asyncio.Event()
        self._seen: Json = {}
        self._unchanged_since = NEVER

    def is_leader(self) -> bool:
        return self._monotonic() < self._acts_until

    async def wait_leader(self) -> None:
        while not self.is_leader():
            self._won.clear()
            await self._won.wait()

    async def run(self) -> None:
        """Take the Lease and keep it, through all errors, until cancelled; then give it back."""
        try:
            while True:
                started = self._monotonic()
                await self.step()
                await asyncio.sleep(max(0.0, self._retry_s - (self._monotonic() - started)))
        finally:
            await self.release()

    async def step(self) -> None:
        """Try once to take or to renew the Lease. No error of the API server leaves this method."""
        sent_at = self._monotonic()
        try:
            held = await self._hold()
        except MemrollError as error:
            _log.warning("the lease %s can't be renewed: %s", self._name, error)
        else:
            self._acts_until = sent_at + self._lease_s * 2 / 3 if held else NEVER
            if held:
                self._won.set()
        self._report()

    async def release(self) -> None:
        """Give the Lease back, so that another needs not wait; acting ends before that is tried."""
        self._acts_until = NEVER
        self._report()
        if self._holder() != self.identity:
            return
        try:
            await self._put(self._spec(holder=""))
        except MemrollError as error:
            _log.warning("the lease %s was not given back: %s", self._name, error)

    async def seize(self, hold_s: float) -> None:
        """Take the Lease whoever holds it, and keep it from others for `hold_s` after this process has ended.

        Returns when whoever held it can't act any more: it acts for two thirds of a lease after its last renewal, which
        this has made impossible. Raises memroll's errors.
        """
        until = self._monotonic() + self._lease_s
        while not await self._seized(hold_s):
            if self._monotonic() > until:
                raise Conflict("Conflict", f"the lease {self._name} is written all the time by {self._holder()}")
        await asyncio.sleep(self._lease_s)
        self._acts_until = self._monotonic() + hold_s - self._lease_s
        self._report()

    async def _seized(self, hold_s: float) -> bool:
        """Write the Lease as it is at this moment; False when its holder was quicker."""
        try:
            self._observe(await self._call("GET", self._path()))
        except NotFound:
            await self._create()
        try:
            return await self._put(self._spec(self.identity) | {"leaseDurationSeconds": math.ceil(hold_s)})
        except Conflict:
            return False

    def _holder(self) -> str:
        return text(self._seen, "spec", "holderIdentity")

    async def _hold(self) -> bool:
        """Return whether this process holds the Lease now."""
        if self._holder() == self.identity:
            try:
                return await self._put(self._spec(self.identity))
            except (Conflict, NotFound):
                _log.info("the lease %s was changed by another", self._name)
        try:
            self._observe(await self._call("GET", self._path()))
        except NotFound:
            return await self._create()
        if not self._free():
            return False
        try:
            return await self._put(self._spec(self.identity))
        except Conflict:
            return False

    def _observe(self, raw: Json) -> None:
        """Note when the Lease was last seen to change."""
        if text(raw, "metadata", "resourceVersion") != text(self._seen, "metadata", "resourceVersion"):
            self._unchanged_since = self._monotonic()
        self._seen = raw

    def _free(self) -> bool:
        holder = self._holder()
        if holder in ("", self.identity):
            return True
        promised_s = max(self._lease_s, number(self._seen, "spec", "leaseDurationSeconds"))
        return self._monotonic() - self._unchanged_since >= promised_s

    async def _create(self) -> bool:
        body = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self._name, "namespace": self._namespace},
            "spec": self._spec(self.identity),
        }
        try:
            self._observe(await self._call("POST", path_of(PREFIX, self._namespace, "leases"), body))
        except Conflict:
            return False
        return True

    async def _put(self, spec: dict[str, Any]) -> bool:
        """Replace the Lease as it was last seen; raise Conflict when it has changed since."""
        self._observe(await self._call("PUT", self._path(), {**self._seen, "spec": spec}))
        return True

    async def _call(self, method: str, path: str, body: Json | None = None) -> Json:
        """Three calls fit into one period, so that a hanging API server can't delay the next try."""
        return await self._api.request(method, path, body=body, timeout_s=self._retry_s * 0.3)

    def _spec(self, holder: str) -> dict[str, Any]:
        old = mapping(self._seen, "spec")
        at = self._now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        changed = text(old, "holderIdentity") != holder
        return {
            **old,
            "holderIdentity": holder,
            "leaseDurationSeconds": math.ceil(self._lease_s),
            "acquireTime": at if changed else old.get("acquireTime", at),
            "renewTime": at,
            "leaseTransitions": number(old, "leaseTransitions") + int(changed and bool(holder) and bool(old)),
        }

    def _path(self) -> str:
        return path_of(PREFIX, self._namespace, "leases", self._name)

    def _report(self) -> None:
        """Log each gain and loss once."""
        leads = self.is_leader()
        if leads != self._led:
            _log.info("%s %s the lease %s", self.identity, "holds" if leads else "has lost", self._name)
        self._led = leads
