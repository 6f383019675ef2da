"""Completion of names of the cluster: policies, pods and PodRolls. Without an answer in time, nothing is completed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from memroll.api import API_VERSION, POLICY_PLURAL, ROLL_PLURAL

if TYPE_CHECKING:
    from collections.abc import Callable

    import click

    Complete = Callable[[click.Context, click.Parameter, str], list[str]]

TIMEOUT_S = 2.0
"""Time limit in seconds for a completion; chosen by hand: a person waits for it."""
MAX_NAMES = 500
"""Maximum number of names that are read; chosen by hand."""


def complete_names(prefix: str, plural: str) -> Complete:
    """Return the function that completes names of this kind in the namespace of the command."""

    def complete(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
        try:
            names = asyncio.run(asyncio.wait_for(_read(ctx, prefix, plural), TIMEOUT_S))
        except Exception:  # noqa: BLE001 - a completion must not print anything but names
            return []
        return [name for name in names if name.startswith(incomplete)]

    return complete


async def _read(ctx: click.Context, prefix: str, plural: str) -> list[str]:
    from memroll.cli import connection  # noqa: PLC0415 - loads the client of Kubernetes
    from memroll.cli.command import ClusterOptions  # noqa: PLC0415 - as above
    from memroll.clients.kube.api_client import build_path  # noqa: PLC0415 - as above
    from memroll.clients.kube.json_access import get_dicts, get_str  # noqa: PLC0415 - as above

    given = {name: ctx.params.get(name) for name in ("kubeconfig", "context", "as_user")}
    options = ClusterOptions(given["kubeconfig"], given["context"], given["as_user"])
    namespace = ctx.params.get("namespace") or connection.default_namespace(options)
    async with connection.open_api(options) as api:
        page = await api.request("GET", build_path(prefix, namespace, plural), query={"limit": MAX_NAMES})
    return sorted(get_str(item, "metadata", "name") for item in get_dicts(page, "items"))


complete_pods = complete_names("/api/v1", "pods")
complete_policies = complete_names(f"/apis/{API_VERSION}", POLICY_PLURAL)
complete_rolls = complete_names(f"/apis/{API_VERSION}", ROLL_PLURAL)
