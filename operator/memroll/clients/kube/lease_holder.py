"""Holders of memroll's Lease: a process that leads, the Job of an uninstall, or an installation that was uninstalled.

The text in `spec.holderIdentity` and its age go in, a `Leadership` comes out. `leader_election` calls it. Pure.
The Job writes its holders so that an operator of the same installation waits, and one of a later installation does not
(docs/design/0021-installation-life.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

UNINSTALLING = "uninstalling:"
"""Prefix of the holder while the Job of an uninstall works; the identity of the Job's process follows."""
UNINSTALLED = "uninstalled:"
"""Prefix of the holder after the Job has succeeded; the id of the uninstalled installation follows."""
MAX_HOLDER_CHARS = 300
"""Maximum length of a holder in messages, in characters; chosen by hand: pods' names have at most 253."""


@dataclass(frozen=True, slots=True)
class Leadership:
    """Answer to the question who leads, for logs, `/leader` and `helm test`."""

    message: str
    someone_leads: bool = False


@dataclass(frozen=True, slots=True)
class LeaseHolder:
    """Holder of the Lease as this process last observed it. An empty identity: nobody holds the Lease."""

    lease: str
    identity: str
    expires_in_s: float
    """Time in seconds until another process may take the Lease if it does not change."""

    @property
    def uninstalled(self) -> str:
        """Return the id of the installation that was uninstalled; empty if none was, or if the id is not known."""
        return self.identity.removeprefix(UNINSTALLED) if self.identity.startswith(UNINSTALLED) else ""

    def leadership(self) -> Leadership:
        """Return who leads, as a process that does not lead sees it."""
        name, lease = self.identity[:MAX_HOLDER_CHARS], f"lease {self.lease}"
        left = f"{max(0, math.ceil(self.expires_in_s))} s"
        if not name:
            return Leadership(f"nobody leads: nobody holds {lease}")
        if name.startswith(UNINSTALLING):
            job = name.removeprefix(UNINSTALLING)
            return Leadership(f"nobody leads: {job} uninstalls memroll and holds {lease} for at most {left} more")
        if name.startswith(UNINSTALLED):
            message = (
                f"nobody leads: memroll was uninstalled: this process acts in at most {left}, when {lease} expires"
            )
            return Leadership(f"{message}, or as soon as the lease is deleted")
        if self.expires_in_s <= 0:
            return Leadership(f"nobody leads: {name} no longer renews {lease}")
        return Leadership(f"standby: {name} leads", someone_leads=True)
