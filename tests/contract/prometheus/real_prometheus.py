"""Real Prometheus over back-filled samples."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.contract.prometheus.ports import free_address

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.contract.prometheus.sample_history import SampleHistory

READY = "Server is ready to receive web requests"


def back_fill(past: SampleHistory, folder: Path) -> None:
    """Write the samples as TSDB blocks."""
    source = folder / "past.om"
    source.write_text(past.open_metrics())
    command = ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(source), str(folder / "data")]
    subprocess.run(command, check=True, capture_output=True, timeout=60)


@contextmanager
def running(program: str, folder: Path, *options: str, config: str = "scrape_configs: []\n") -> Iterator[str]:
    """Yield host and port of a Prometheus without scrape targets by default; stop it by its own pid."""
    (folder / "prometheus.yml").write_text(config)
    address = free_address()
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
