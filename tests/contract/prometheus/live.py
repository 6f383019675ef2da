"""A real Prometheus over back-filled samples."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

READY = "Server is ready to receive web requests"
Samples = list[tuple[float, float]]


@dataclass
class Past:
    """Samples to be served, by series."""

    families: dict[str, list[str]] = field(default_factory=dict)

    def add(self, metric: str, labels: dict[str, str], samples: Samples) -> Samples:
        shown = ",".join(f'{k}="{_escaped(v)}"' for k, v in labels.items())
        lines = [f"{metric}{{{shown}}} {value!r} {time_s:.3f}" for time_s, value in samples]
        self.families.setdefault(metric, []).extend(lines)
        return samples

    def text(self) -> str:
        blocks = ("\n".join([f"# TYPE {name} gauge", *lines]) for name, lines in self.families.items())
        return "\n".join([*blocks, "# EOF\n"])


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def need_prometheus() -> None:
    missing = [name for name in ("prometheus", "promtool") if shutil.which(name) is None]
    if missing and os.environ.get("CI"):
        pytest.fail(f"not installed: {', '.join(missing)}")
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)} (Debian package: prometheus)")


def back_fill(past: Past, folder: Path) -> None:
    """Write the samples as blocks, as Prometheus itself would have."""
    source = folder / "past.om"
    source.write_text(past.text())
    command = ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(source), str(folder / "data")]
    subprocess.run(command, check=True, capture_output=True, timeout=60)


@contextmanager
def running(folder: Path, *options: str) -> Iterator[str]:
    """Yield host and port of a Prometheus that scrapes nothing; stop it by its own pid."""
    (folder / "prometheus.yml").write_text("scrape_configs: []\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with subprocess.Popen(_command(folder, address, options), stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            said = []
            for line in process.stderr:
                said.append(line)
                if READY in line:
                    break
            else:
                pytest.fail("Prometheus did not start:\n" + "".join(said[-5:]))
            yield address
        finally:
            process.terminate()
            try:
                process.communicate(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()


def _command(folder: Path, address: str, options: Sequence[str]) -> list[str]:
    return [
        "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--storage.tsdb.retention.time=100y",
        f"--web.listen-address={address}",
        *options,
    ]
