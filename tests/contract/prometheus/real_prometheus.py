"""Real Prometheus over back-filled samples."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

import pytest

from tests.contract.prometheus import build_prometheus3

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.contract.prometheus.sample_history import SampleHistory

READY = "Server is ready to receive web requests"


def need_prometheus() -> str:
    missing = [name for name in ("prometheus", "promtool") if shutil.which(name) is None]
    if missing:
        _miss(f"not installed: {', '.join(missing)} (Debian package: prometheus)")
    return "prometheus"


def need_prometheus_3() -> str:
    need_prometheus()  # its promtool writes the blocks for both
    found = build_prometheus3.find(os.environ)
    if found is None:
        _miss("not built: PYTHONPATH=.:deploy/local .venv/bin/python -m tests.contract.prometheus.build_prometheus3")
    return str(found)


def _miss(reason: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def back_fill(past: SampleHistory, folder: Path) -> None:
    """Write the samples as TSDB blocks."""
    source = folder / "past.om"
    source.write_text(past.text())
    command = ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(source), str(folder / "data")]
    subprocess.run(command, check=True, capture_output=True, timeout=60)


@contextmanager
def running(program: str, folder: Path, *options: str, config: str = "scrape_configs: []\n") -> Iterator[str]:
    """Yield host and port of a Prometheus without scrape targets by default; stop it by its own pid."""
    (folder / "prometheus.yml").write_text(config)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with subprocess.Popen(
        [program, *_options(folder, address), *options], stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr is not None
            output = []
            for line in process.stderr:
                output.append(line)
                if READY in line:
                    break
            else:
                pytest.fail("Prometheus did not start:\n" + "".join(output[-5:]))
            yield address
        finally:
            process.terminate()
            try:
                process.communicate(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()


def _options(folder: Path, address: str) -> list[str]:
    return [
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--storage.tsdb.retention.time=100y",
        f"--web.listen-address={address}",
    ]
