"""Servers that the tests over recorded samples run on: Debian's Prometheus 2, Prometheus 3 and VictoriaMetrics."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.contract.prometheus import programs, real_prometheus, victoria_metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.contract.prometheus.sample_history import SampleHistory


@dataclass(frozen=True)
class Store:
    """Server with the query API of Prometheus. `need` returns its program, or skips the test."""

    name: str
    need: Callable[[], str]

    @property
    def is_prometheus(self) -> bool:
        return self is not VICTORIA_METRICS

    @contextmanager
    def serving(self, past: SampleHistory, folder: Path) -> Iterator[str]:
        """Yield host and port of the server with these samples."""
        program = self.need()
        if self.is_prometheus:
            real_prometheus.back_fill(past, folder)
            with real_prometheus.running(program, folder) as address:
                yield address
            return
        with victoria_metrics.running(program, folder) as address:
            victoria_metrics.fill(address, past)
            yield address

    @contextmanager
    def scraping(self, target: str, folder: Path) -> Iterator[str]:
        """Yield host and port of the server, which scrapes the target (host and port) five times a second."""
        config = (
            "global: {scrape_interval: 200ms, scrape_timeout: 200ms}\n"
            f"scrape_configs: [{{job_name: kubelet, static_configs: [{{targets: ['{target}']}}]}}]\n"
        )
        program = self.need()
        if self.is_prometheus:
            at_once = "--scrape.discovery-reload-interval=100ms"
            with real_prometheus.running(program, folder, at_once, config=config) as address:
                yield address
            return
        (folder / "scrape.yml").write_text(config)
        with victoria_metrics.running(program, folder, f"-promscrape.config={folder / 'scrape.yml'}") as address:
            yield address

    def flush(self, address: str) -> None:
        """Make all samples visible to queries; with Prometheus they always are."""
        if not self.is_prometheus:
            victoria_metrics.flush(address)


PROMETHEUS_2 = Store("Prometheus 2", programs.need_prometheus)
PROMETHEUS_3 = Store("Prometheus 3", programs.need_prometheus_3)
VICTORIA_METRICS = Store("VictoriaMetrics", programs.need_victoria_metrics)
STORES = (PROMETHEUS_2, PROMETHEUS_3, VICTORIA_METRICS)
