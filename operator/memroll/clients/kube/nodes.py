"""Memory that nodes can allocate to pods: the limit of containers whose own limit is above it, or that have none.

One list request for all policies, seldom: nodes rarely change. Where nodes can't be read, none is known.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from memroll.clients.kube.api_client import build_path
from memroll.clients.kube.containers import parse_memory
from memroll.clients.kube.json_access import get_dict, get_str
from memroll.clients.kube.pods import CORE
from memroll.errors import MemrollError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from memroll.clients.kube.api_client import Json, KubeApi

logger = logging.getLogger(__name__)

MAX_AGE_S = 300.0
"""Time in seconds for which a list of nodes is used, chosen by hand: one interval of a policy with the defaults."""
RETRY_S = 60.0
"""Time in seconds after which a failed request is repeated, chosen by hand."""
MAX_NODES = 5_000
"""Maximum number of nodes that are stored, as many as Kubernetes supports. Further ones count as not known."""
MAX_READ_S = 10.0
"""Maximum seconds for reading all of them, so that a reconcile is not delayed for longer. Chosen by hand."""


class KubeNodeReader:
    """Reads the allocatable memory of all nodes, and stores it for a while."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api
        self._lock = asyncio.Lock()
        self._found: dict[str, int] = {}
        self._expires_s = float("-inf")

    async def list_node_memory(self) -> Mapping[str, int]:
        """Return the allocatable bytes of each node by name; after an error the previous ones. Never raises."""
        async with self._lock:
            if time.monotonic() >= self._expires_s:
                age_s = MAX_AGE_S if await self._read() else RETRY_S
                self._expires_s = time.monotonic() + age_s
            return self._found

    async def _read(self) -> bool:
        """Read the nodes; return whether that succeeded."""
        found: dict[str, int] = {}
        try:
            async with asyncio.timeout(MAX_READ_S):
                async for raw in self._api.list_items(build_path(CORE, plural="nodes")):
                    name, allocatable = get_str(raw, "metadata", "name"), decode_allocatable(raw)
                    if name and allocatable is not None and len(found) < MAX_NODES:
                        found[name] = allocatable
        except (MemrollError, TimeoutError) as error:
            logger.warning("the allocatable memory of the nodes is not known: %s", error)
            return False
        except Exception:
            logger.exception("bug: decoding the nodes failed")
            return False
        self._found = found
        return True


def decode_allocatable(raw: Json) -> int | None:
    """Return the memory that a node can allocate to pods, in bytes; None if its status does not contain it."""
    return parse_memory(get_dict(raw, "status", "allocatable").get("memory")) or None
