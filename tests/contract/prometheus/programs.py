"""Programs of the servers that the tests run. Without them a test is skipped, or fails in a run where all are built."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest

from tests.contract.prometheus import build_servers


def need_prometheus() -> str:
    missing = [name for name in ("prometheus", "promtool") if shutil.which(name) is None]
    if missing:
        _miss(f"not installed: {', '.join(missing)} (Debian package: prometheus)")
    return "prometheus"


def need_prometheus_3() -> str:
    need_prometheus()  # its promtool writes the blocks for both
    return _need_built(build_servers.PROMETHEUS_3)


def need_victoria_metrics() -> str:
    return _need_built(build_servers.VICTORIA_METRICS)


def _need_built(server: build_servers.Server) -> str:
    found = build_servers.find(server, os.environ)
    if found is None:
        _miss(
            f"{server.name} is not built: "
            "PYTHONPATH=.:deploy/local .venv/bin/python -m tests.contract.prometheus.build_servers"
        )
    return str(found)


def _miss(reason: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
