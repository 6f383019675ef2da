"""Real VictoriaMetrics (single node) over imported samples."""

from __future__ import annotations

import http.client
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.contract.prometheus.ports import free_address

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.contract.prometheus.sample_history import SampleHistory

START_TIMEOUT_S = 20.0


@contextmanager
def running(program: str, folder: Path, *options: str) -> Iterator[str]:
    """Yield host and port of an empty VictoriaMetrics; stop it by its own pid."""
    address = free_address()
    command = [
        program,
        f"-storageDataPath={folder / 'victoria-metrics'}",
        f"-httpListenAddr={address}",
        "-retentionPeriod=100y",
        "-loggerLevel=WARN",
        *options,
    ]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            _wait_until_healthy(process, address)
            yield address
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()


def fill(address: str, past: SampleHistory) -> None:
    """Import the samples, and make them visible to queries."""
    assert _request(address, "POST", "/api/v1/import/prometheus", past.exposition()) == 204
    flush(address)


def flush(address: str) -> None:
    """Make all samples visible: by itself VictoriaMetrics takes some seconds."""
    assert _request(address, "GET", "/internal/force_flush") == 200


def _wait_until_healthy(process: subprocess.Popen[bytes], address: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            assert _request(address, "GET", "/health") == 200
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"VictoriaMetrics did not start: exit status {process.poll()}")
            time.sleep(0.02)
        else:
            return


def _request(address: str, method: str, path: str, body: str = "") -> int:
    connection = http.client.HTTPConnection(address, timeout=60)
    try:
        connection.request(method, path, body.encode())
        return connection.getresponse().status
    finally:
        connection.close()
