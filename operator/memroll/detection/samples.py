"""Results of Prometheus queries, and the rows in them that belong to a container instance.

Built by `clients.prometheus`; read by `assess`, the comparison after a roll, evidence and the backtest.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from memroll.detection.series import EMPTY, Series

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from memroll.model.pod_names import PodPattern

TICK_S = 0.001
"""Resolution of Prometheus' timestamps, in seconds."""
STEPS_PER_WINDOW = 360
"""Steps in a window, for histories that are read in steps: a minute each, in a window of 6 h. Chosen by hand."""
MAX_STEPS = 2000
"""Maximum number of steps in a history, to bound the size of an answer. Chosen by hand."""
MIN_STEP_S = 15.0
"""Minimum step, in seconds: a finer one is finer than usual scrapes, so every sample is read instead."""


MIN_BLOCKS = 36
"""Minimum number of blocks in a window for its slope to be that of their means; chosen by hand."""


@dataclass(frozen=True, slots=True)
class SlowBins:
    """Bins whose minima the slow slopes compare (`slow_slopes`): the newest one, and those that ended before it."""

    bin_s: float
    """Length of a bin, in seconds."""
    offsets_s: tuple[float, ...]
    """Seconds from the end of each earlier bin to now."""
    usage_offsets_s: tuple[float, ...] = ()
    """Seconds from each earlier time whose working set is compared with that of now."""
    block_s: float = 0.0
    """Length of the blocks whose means give the slopes of long windows (`block_slopes`), in seconds; 0: no blocks."""

    def is_by_blocks(self, window_s: float) -> bool:
        """Return whether the slope of a window is that of the means of its blocks."""
        return 0 < MIN_BLOCKS * self.block_s <= window_s

    @property
    def known_by_blocks_s(self) -> float:
        """Time before now in which blocks are counted, in seconds: with few of them, no slope is known."""
        return MIN_BLOCKS * self.block_s / 3


NO_SLOW_BINS = SlowBins(1.0, ())
"""Bins of a prefilter without slow slopes."""


def counted_windows_s(windows_s: Sequence[float]) -> tuple[float, ...]:
    """Return the window in which the samples are counted: the second shortest, if there are any.

    With enough samples in it, all longer windows have enough. The shortest one may then have two only, whose slope can
    add a candidate but never drops one.
    """
    return tuple(sorted(windows_s)[:2][-1:])


@dataclass(frozen=True, slots=True)
class SampleRange:
    """Range of a read: its length, which ends at the read's time, and its step."""

    lookback_s: float
    step_s: float | None
    """None: every sample. Else the extreme of each step, with the time of the step's end."""

    def __post_init__(self) -> None:
        for seconds in (self.lookback_s, self.step_s):
            if seconds is not None and not TICK_S <= seconds < float("inf"):
                raise ValueError(f"not a duration of a millisecond or more: {seconds}")

    @classmethod
    def with_step(cls, lookback_s: float, step_s: float) -> SampleRange:
        """Return a range with this step; with every sample if the step is finer than usual scrapes."""
        return cls(lookback_s, round(step_s, 3) if step_s >= MIN_STEP_S else None)

    @classmethod
    def for_window(cls, lookback_s: float, window_s: float) -> SampleRange:
        """Return a range with a few hundred points in each window, and a bounded number in all."""
        return cls.with_step(lookback_s, max(window_s / STEPS_PER_WINDOW, lookback_s / MAX_STEPS))


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """Selection of the series of a read: containers of pods of one namespace, in a range that ends at `at_s`."""

    namespace: str
    pods: Sequence[str]
    """Names of the pods."""
    sample_range: SampleRange
    at_s: float
    """Time of the queries, in seconds since the epoch."""
    patterns: Sequence[PodPattern] = ()
    """Name patterns of further pods, such as earlier pods of the same workload."""
    load_metric: str | None = None
    """Counter of requests to read as the load; None: CPU."""
    detailed: Sequence[str] = ()
    """Names of those pods whose active page cache and swap are read as well: the candidates."""
    containers: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Names of the containers that are read, by pod; of a pod that is not in it, and of the patterns' pods: all."""
    memory_only: bool = False
    """True if neither the load nor the number of OOM kills is read."""
    load_pods: Sequence[str] | None = None
    """Names of those pods whose load is read: the candidates. None: all pods, also those of the patterns."""
    peers: Sequence[str] = ()
    """Names of those pods whose memory is read in steps of `peer_step_s`, as is that of the patterns' pods."""
    peer_step_s: float | None = None
    """Length of these steps, in seconds; None: that of the range."""
    incremental: bool = False
    """True if steps that an earlier read returned, and that no longer change, are not read again."""

    @property
    def start_s(self) -> float:
        return self.at_s - self.sample_range.lookback_s


class _Row(Protocol):
    @property
    def pod(self) -> str: ...
    @property
    def container(self) -> str: ...
    @property
    def container_id(self) -> str: ...
    @property
    def last_s(self) -> float: ...
    @property
    def rank(self) -> tuple[bool, float, float]: ...


R = TypeVar("R", bound=_Row)


class InstanceIndex(Generic[R]):
    """Index of rows by container instance.

    The ID decides. Only if the labels of a container contain no ID at all (some runtimes' exporters drop them), its
    newest row is used, from the start of the instance on; of several scrapers', one that has both RSS and working set,
    and of these the one with the newest RSS. Rows are never added up: two IDs under one name are an instance and its
    predecessor, not two halves.
    """

    def __init__(self, rows: Iterable[R]) -> None:
        rows = tuple(rows)
        self._by_id = {(r.pod, r.container, r.container_id): r for r in rows if r.container_id}
        with_id = {(pod, container) for pod, container, _ in self._by_id}
        self._newest: dict[tuple[str, str], R] = {}
        for row in rows:
            key = (row.pod, row.container)
            if key not in with_id and (key not in self._newest or row.rank > self._newest[key].rank):
                self._newest[key] = row

    def by_id(self, pod: str, container: str, container_id: str) -> R | None:
        """Return the row with this ID, or None."""
        return self._by_id.get((pod, container, container_id)) if container_id else None

    def newest(self, pod: str, container: str, started_at_s: float) -> R | None:
        """Return the newest row of a container without IDs, if it has a sample of this instance."""
        newest = self.unnamed(pod, container)
        return newest if newest is not None and newest.last_s > started_at_s else None

    def unnamed(self, pod: str, container: str) -> R | None:
        """Return the newest row of a container without IDs, of whichever instance."""
        return self._newest.get((pod, container))


@dataclass(frozen=True, slots=True, eq=False)
class SeriesRow:
    """Series of one container instance in Prometheus."""

    pod: str
    container: str
    container_id: str
    """The runtime's ID without its scheme; empty if the labels do not contain it."""
    rss: Series
    working_set: Series
    load: Series = EMPTY
    """CPU cores in use, or requests per second of the whole pod; empty if Prometheus does not have it."""
    ooms: Series = EMPTY
    """Number of processes that the kernel has killed since the start of the instance; empty if Prometheus does not
    have it."""
    active_file: Series = EMPTY
    """Active page cache, a part of the working set; empty if Prometheus does not have it, or it was not read."""
    swap: Series = EMPTY
    """Swapped-out memory, no part of the working set; empty likewise."""

    @property
    def last_s(self) -> float:
        """Time of the newest sample of memory; minus infinity without samples."""
        return max(self.rss.last_s, self.working_set.last_s)

    @property
    def is_complete(self) -> bool:
        """True if the row has both an RSS and a working set."""
        return bool(len(self.rss) and len(self.working_set))

    @property
    def rank(self) -> tuple[bool, float, float]:
        """Rank among the rows of a container without IDs. Rows without an RSS are ordered by their working set."""
        return self.is_complete, self.rss.last_s, self.last_s

    def since(self, start_s: float) -> SeriesRow:
        """Return the row without the samples up to `start_s`."""
        return self.between(start_s, float("inf"))

    def between(self, start_s: float, end_s: float) -> SeriesRow:
        """Return the row with the samples in the half-open interval (start_s, end_s]."""
        series = (self.rss, self.working_set, self.load, self.ooms, self.active_file, self.swap)
        return SeriesRow(self.pod, self.container, self.container_id, *(s.between(start_s, end_s) for s in series))


@dataclass(frozen=True, slots=True, eq=False)
class QueryResult:
    """Series of several container instances."""

    rows: tuple[SeriesRow, ...]
    at_s: float
    """Time of the queries, in seconds since the epoch."""
    _instances: InstanceIndex[SeriesRow] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_instances", InstanceIndex(self.rows))

    def row_for(self, pod: str, container: str, container_id: str, started_at_s: float) -> SeriesRow | None:
        """Return the samples of one container instance, or None if Prometheus has none."""
        row = self._instances.by_id(pod, container, container_id)
        if row is not None:
            return row
        newest = self._instances.newest(pod, container, started_at_s)
        return None if newest is None else newest.since(started_at_s)


@dataclass(frozen=True, slots=True)
class PrefilterRow:
    """Statistics of one container instance, computed by Prometheus."""

    pod: str
    container: str
    container_id: str
    slopes_bytes_per_s: tuple[float | None, ...]
    """Least-squares slope of the RSS in each window; None with too few samples, or none of this instance alone."""
    samples: int
    """Number of RSS samples in the second shortest window (`counted_windows_s`)."""
    rss_bytes: float | None
    """Newest RSS; None if it is older than what Prometheus considers current (5 minutes)."""
    working_set_bytes: float | None
    last_s: float
    """Time of the newest sample of RSS; minus infinity if there is no current one."""
    slow_slopes_bytes_per_s: tuple[float | None, ...] = ()
    """Slope from the minimum of each earlier bin of `SlowBins` to that of the newest one; None where unknown."""
    is_rss_known: bool = False
    """True if Prometheus has an RSS in any of the windows."""
    usage_slopes_bytes_per_s: tuple[float | None, ...] = ()
    """Slope from the working set of each earlier time of `SlowBins` to that of now; None where unknown."""

    @property
    def has_rss(self) -> bool:
        """True if Prometheus has an RSS of this container in one of the windows."""
        return self.is_rss_known or self.samples > 0 or self.rss_bytes is not None

    @property
    def is_complete(self) -> bool:
        """True if the row has both an RSS and a working set."""
        return self.has_rss and self.working_set_bytes is not None

    @property
    def rank(self) -> tuple[bool, float, float]:
        """Rank among the rows of a container without IDs."""
        return self.is_complete, self.last_s, self.last_s


@dataclass(frozen=True, slots=True, eq=False)
class PrefilterResult:
    """Statistics of several container instances."""

    rows: tuple[PrefilterRow, ...]
    windows_s: tuple[float, ...]
    at_s: float
    slow: SlowBins = NO_SLOW_BINS
    _instances: InstanceIndex[PrefilterRow] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_instances", InstanceIndex(self.rows))

    def row_for(self, pod: str, container: str, container_id: str, started_at_s: float) -> PrefilterRow | None:
        """Return the row of one container instance, or None if Prometheus has none."""
        row = self._instances.by_id(pod, container, container_id)
        if row is not None:
            return row
        newest = self._instances.newest(pod, container, started_at_s)
        if newest is not None:
            return self._since(newest, started_at_s)
        unnamed = self._instances.unnamed(pod, container)  # the time of a row without an RSS is unknown
        return unnamed if unnamed is not None and not unnamed.has_rss else None

    def _since(self, row: PrefilterRow, start_s: float) -> PrefilterRow:
        """Drop the slopes of windows that reach back to a predecessor."""
        age_s = self.at_s - start_s
        pairs = zip(self.windows_s, row.slopes_bytes_per_s, strict=True)
        slow = zip(self.slow.offsets_s, row.slow_slopes_bytes_per_s, strict=False)
        usage = zip(self.slow.usage_offsets_s, row.usage_slopes_bytes_per_s, strict=False)
        return replace(
            row,
            slopes_bytes_per_s=tuple(s if w <= age_s else None for w, s in pairs),
            slow_slopes_bytes_per_s=tuple(s if o + self.slow.bin_s <= age_s else None for o, s in slow),
            usage_slopes_bytes_per_s=tuple(s if o <= age_s else None for o, s in usage),
        )
