"""Command `memroll operator`: reads the settings, runs the manager, and returns an exit code."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from memroll import __version__, logs
from memroll.cli.command import command as define
from memroll.cli.settings_options import settings_options
from memroll.clients.kube.api_client import KubeApi
from memroll.clients.prometheus.credentials import ConnectionsFile
from memroll.controller.manager import Manager, check_crds
from memroll.errors import MemrollError

if TYPE_CHECKING:
    from memroll.settings import LoadedSettings, Settings

logger = logging.getLogger(__name__)


@define(
    "operator",
    examples=["operator", "operator --log-format text --connections-file connections.yaml --identity my-machine"],
)
@settings_options
def command(loaded: LoadedSettings) -> int:
    """Run the operator until SIGTERM. Each setting is a flag, a variable, or a key of the settings file."""
    return run(loaded)


def run(loaded: LoadedSettings) -> int:
    """Run until SIGTERM. Return 0 after SIGTERM, 1 after a failure; raise TerminalError for an invalid connection."""
    settings = loaded.settings
    connections = ConnectionsFile(Path(settings.connections_file))
    connections()
    logs.configure(settings.log_format, settings.log_level)
    log_settings(loaded)
    try:
        asyncio.run(_run(settings, connections))
    except MemrollError:
        logger.exception("stopped")
        return 1
    except Exception:  # the traceback belongs into the log, which nobody can request again
        logger.exception("stopped by a bug of memroll")
        return 1
    return 0


def log_settings(loaded: LoadedSettings) -> None:
    """Log all settings, and the origin of those that are no defaults. None of them is a secret."""
    changes = ", ".join(f"{name}={text}" for name, text in loaded.changes().items())
    fields = {"version": __version__, "settings": loaded.settings.model_dump(mode="json")}
    logger.info("settings: %s", changes or "all defaults", extra=fields)


async def _run(settings: Settings, connections: ConnectionsFile) -> None:
    api = await KubeApi.connect()
    try:
        await check_crds(api)
        await Manager.build(settings, connections, api).run()
    finally:
        await api.close()
