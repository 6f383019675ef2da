"""Command `memroll operator`: reads the settings, runs the manager, and returns an exit code."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from memroll import logs
from memroll.cli.command import command as define
from memroll.clients.kube.api_client import KubeApi
from memroll.clients.prometheus.credentials import ConnectionsFile
from memroll.controller.manager import Manager, check_crds
from memroll.errors import MemrollError
from memroll.settings import from_environment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from memroll.settings import Settings

logger = logging.getLogger(__name__)


@define("operator", examples=["operator", "MEMROLL_LOG_FORMAT=text memroll operator"])
def command() -> int:
    """Run the operator until SIGTERM. Settings come from MEMROLL_* variables."""
    return run(os.environ)


def run(environment: Mapping[str, str]) -> int:
    """Run until SIGTERM. Return 0 after SIGTERM, 1 after a failure, 2 for invalid settings."""
    try:
        settings = from_environment(environment)
        connections = ConnectionsFile(Path(settings.connections_file))
        connections()
    except ValidationError as error:
        for detail in error.errors():
            name = "MEMROLL_" + "_".join(map(str, detail["loc"])).upper()
            print(f"memroll operator: {name}={detail['input']!r}: {detail['msg']}", file=sys.stderr)
        return 2
    except MemrollError as error:
        print(f"memroll operator: {error}", file=sys.stderr)
        return 2
    logs.configure(settings.log_format, settings.log_level)
    try:
        asyncio.run(_run(settings, connections))
    except MemrollError:
        logger.exception("stopped")
        return 1
    return 0


async def _run(settings: Settings, connections: ConnectionsFile) -> None:
    api = await KubeApi.connect()
    try:
        await check_crds(api)
        await Manager.build(settings, connections, api).run()
    finally:
        await api.close()
