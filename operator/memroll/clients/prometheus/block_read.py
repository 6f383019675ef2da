"""Means of the RSS of all containers in blocks, from which the slopes of long windows follow.

Most of them are known from earlier reads (design note 0025).
"""

from __future__ import annotations

from dataclasses import dataclass
from sys import intern
from typing import TYPE_CHECKING

from memroll.clients.prometheus import promql
from memroll.clients.prometheus.query_plan import SeriesKind, TimeRange
from memroll.clients.prometheus.read_sources import ALL_CONTAINERS, Source
from memroll.clients.prometheus.step_reader import Metric, StepReader
from memroll.detection.block_slopes import block_window_s

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memroll.clients.prometheus.promql import Matcher
    from memroll.clients.prometheus.rows import InstanceKey
    from memroll.clients.prometheus.session import PrometheusSession
    from memroll.clients.prometheus.step_cache import StepCache
    from memroll.clients.prometheus.timeout import Timeout
    from memroll.detection.samples import SlowBins
    from memroll.detection.series import Series


@dataclass(frozen=True, slots=True)
class BlockRead:
    """One read of the means of a namespace."""

    session: PrometheusSession
    cache: StepCache
    timeout: Timeout
    namespace: str
    at_s: float

    def means(self, pods: Sequence[str], window_s: float, blocks: SlowBins) -> dict[InstanceKey, Series]:
        """Return the means of the blocks within the window that ends now, by container instance."""
        scope, block_s = self.session.scope(self.namespace), blocks.block_s

        def mean(matchers: Sequence[Matcher]) -> str:
            rss = promql.container_selector(promql.RSS, scope, *matchers)
            return promql.over_time("avg_over_time", rss, block_s)

        sources = tuple(Source(intern(pod), ALL_CONTAINERS) for pod in dict.fromkeys(pods))
        reader = StepReader(self.session, self.cache, self.timeout, self.namespace, self.at_s, frozenset(pods))
        steps = TimeRange(self.at_s - block_window_s(window_s, blocks), self.at_s)
        found, _ = reader.read(Metric(SeriesKind.MEANS, promql.RSS, block_s, mean), sources, steps)
        return found
