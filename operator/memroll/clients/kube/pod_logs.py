"""Last lines of a container's log, as the kubelet keeps them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memroll.clients.kube.api_client import build_path
from memroll.clients.kube.pods import CORE

if TYPE_CHECKING:
    from memroll.clients.kube.api_client import KubeApi
    from memroll.model.pods import PodKey

MAX_LOG_BYTES = 512 * 1024
"""Maximum size of a log that is read, in bytes; chosen by hand, large enough for the lines of one evidence section."""


class KubeLogReader:
    """Reads logs. Needs the permission `pods/log`, which the chart can leave out."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api

    async def read_logs(
        self, pod: PodKey, container: str, lines: int, timeout_s: float, *, previous: bool = False
    ) -> tuple[str, ...]:
        """Return the last lines, oldest first. `previous`: those of the container instance before the current one."""
        query: dict[str, str | int] = {"container": container, "tailLines": lines, "limitBytes": MAX_LOG_BYTES}
        if previous:
            query["previous"] = "true"
        path = build_path(CORE, pod.namespace, "pods", pod.name, "log")
        text = await self._api.get_text(path, query, max_bytes=MAX_LOG_BYTES, timeout_s=timeout_s)
        return tuple(text.removesuffix("\n").split("\n")[-lines:]) if text else ()
