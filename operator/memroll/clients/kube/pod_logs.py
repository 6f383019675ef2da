"""The last lines of a container's log, as the kubelet kept them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memroll.clients.kube.api_client import path_of
from memroll.clients.kube.pods import CORE

if TYPE_CHECKING:
    from memroll.clients.kube.api_client import Api
    from memroll.model.pods import PodKey

LOG_BYTES_MAX = 512 * 1024


class Logs:
    """Reads logs. The right to it is one of its own, and may be missing."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def logs(
        self, pod: PodKey, container: str, lines: int, timeout_s: float, *, previous: bool = False
    ) -> tuple[str, ...]:
        """Return the last lines, oldest first; with `previous` those of the instance before the one that runs."""
        query: dict[str, str | int] = {"container": container, "tailLines": lines, "limitBytes": LOG_BYTES_MAX}
        if previous:
            query["previous"] = "true"
        path = path_of(CORE, pod.namespace, "pods", pod.name, "log")
        text = await self._api.text(path, query, bytes_max=LOG_BYTES_MAX, timeout_s=timeout_s)
        return tuple(text.removesuffix("\n").split("\n")[-lines:]) if text else ()
