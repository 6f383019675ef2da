"""Logs: one JSON object a line for machines, plain lines for people. Never whole objects of the cluster.

Each JSON line carries the policy, the roll and the pod that the work is about: see memroll.about.
"""

from __future__ import annotations

import logging
import sys

from pythonjsonlogger.json import JsonFormatter

from memroll.log_context import named

FIELDS = "%(asctime)s %(levelname)s %(name)s %(message)s"


def configure(log_format: str, level: str) -> None:
    """Send all logs to standard error in one format."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(named)
    if log_format == "json":
        renamed = {"asctime": "time", "levelname": "level", "name": "logger"}
        handler.setFormatter(JsonFormatter(FIELDS, rename_fields=renamed))
    else:
        handler.setFormatter(logging.Formatter(FIELDS))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for noisy in ("asyncio", "aiohttp", "urllib3", "kubernetes"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
