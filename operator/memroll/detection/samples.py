"""What was read of Prometheus, and which of it belongs to which container instance."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from memroll.detection.series import EMPTY, Series

if TYPE_CHECKING:
    from collections.abc import Iterable

TICK_S = 0.001
"""The resolution of Prometheus' times."""
SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""Of names that Kubernetes generates: no vowels, and nothing that looks like another character."""
HASH_CHARS_MAX = 10
RANDOM_CHARS = 5


@dataclass(frozen=True, slots=True)
class Span:
    """How far back a read goes from its instant, and how finely."""

    lookback_s: float
    step_s: float | None
    """None: every sample. Else the extreme of each step, under the time of the step's end."""

    def __post_init__(self) -> None:
        for seconds in (self.lookback_s, self.step_s):
            if seconds is not None and not TICK_S <= seconds < float("inf"):
                raise ValueError(f"not a duration of a millisecond or more: {seconds}")


@dataclass(frozen=True, slots=True)
class PodPattern:
    """The names that a workload's controller generates: `prefix`, then so many `-suffix` parts.

    The last part is random, those before it are hashes of a template: 2 parts for a Deployment's pods, 1 for those of
    a ReplicaSet, DaemonSet or Job.
    """

    prefix: str
    suffix_parts: int

    def __post_init__(self) -> None:
        if not self.prefix or self.suffix_parts < 1:
            raise ValueError(f"not a pattern of generated names: {self.prefix!r} and {self.suffix_parts} parts")

    @property
    def suffix(self) -> str:
        """All parts after the prefix, as a pattern that RE2 and Python read alike."""
        hashed = f"-[{SUFFIX_ALPHABET}]{{1,{HASH_CHARS_MAX}}}"
        return hashed * (self.suffix_parts - 1) + f"-[{SUFFIX_ALPHABET}]{{{RANDOM_CHARS}}}"

    def matches(self, pod: str) -> bool:
        found = re.fullmatch(self.suffix, pod.removeprefix(self.prefix))
        return pod.startswith(self.prefix) and found is not None


class _Row(Protocol):
    @property
    def pod(self) -> str: ...
    @property
    def container(self) -> str: ...
    @property
    def container_id(self) -> str: ...
    @property
    def last_s(self) -> float: ...


R = TypeVar("R", bound=_Row)


class Instances(Generic[R]):
    """Finds the row of one container instance.

    The ID decides. Only where the labels of a container carry no ID at all (some runtimes' exporters drop them), its
    newest row counts, for what came since the start of the instance. Rows are never added up: two IDs under one name
    are an instance and its predecessor, not two halves.
    """

    def __init__(self, rows: Iterable[R]) -> None:
        rows = tuple(rows)
        self._by_id = {(r.pod, r.container, r.container_id): r for r in rows if r.container_id}
        known = {(pod, container) for pod, container, _ in self._by_id}
        self._newest: dict[tuple[str, str], R] = {}
        for row in rows:
            key = (row.pod, row.container)
            if key not in known and (key not in self._newest or row.last_s > self._newest[key].last_s):
                self._newest[key] = row

    def by_id(self, pod: str, container: str, container_id: str) -> R | None:
        return self._by_id.get((pod, container, container_id)) if container_id else None

    def newest(self, pod: str, container: str, started_at_s: float) -> R | None:
        """Return what stands for an instance of a container that no row knows by ID."""
        newest = self._newest.get((pod, container))
        return newest if newest is not None and newest.last_s > started_at_s else None


@dataclass(frozen=True, slots=True, eq=False)
class SeriesRow:
    """One container instance as Prometheus knows it."""

    pod: str
    container: str
    container_id: str
    """The runtime's ID without its scheme; empty when the labels don't tell."""
    rss: Series
    working_set: Series
    load: Series = EMPTY
    """CPU cores in use, or requests per second of the whole pod; empty when Prometheus doesn't hold it."""
    ooms: Series = EMPTY
    """Processes that the kernel killed since the start of the instance; empty when Prometheus doesn't hold it."""

    @property
    def last_s(self) -> float:
        """Time of the newest sample of memory; minus infinity when there is none."""
        return max(self.rss.last_s, self.working_set.last_s)

    def since(self, start_s: float) -> SeriesRow:
        """Return the row without what came before `start_s`."""
        series = (self.rss, self.working_set, self.load, self.ooms)
        rss, working_set, load, ooms = (s.between(start_s, float("inf")) for s in series)
        return SeriesRow(self.pod, self.container, self.container_id, rss, working_set, load, ooms)


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    rows: tuple[SeriesRow, ...]
    at_s: float
    """The instant that the queries were about, in seconds since the epoch."""
    _instances: Instances[SeriesRow] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_instances", Instances(self.rows))

    def row_for(self, pod: str, container: str, container_id: str, started_at_s: float) -> SeriesRow | None:
        """Return the samples of one container instance, or None when Prometheus has none of it."""
        known = self._instances.by_id(pod, container, container_id)
        if known is not None:
            return known
        newest = self._instances.newest(pod, container, started_at_s)
        return None if newest is None else newest.since(started_at_s)


@dataclass(frozen=True, slots=True)
class ScreenRow:
    """What the server worked out of one container instance."""

    pod: str
    container: str
    container_id: str
    slopes_bytes_per_s: tuple[float | None, ...]
    """Least squares through the RSS of each window; None where too few samples, or none of this instance alone."""
    samples: int
    """Of RSS in the longest window."""
    rss_bytes: float | None
    """The newest; None when it is older than what the server takes for current (5 minutes)."""
    working_set_bytes: float | None
    last_s: float
    """Time of the newest sample of RSS; minus infinity when there is no current one."""


@dataclass(frozen=True, slots=True, eq=False)
class Screening:
    rows: tuple[ScreenRow, ...]
    windows_s: tuple[float, ...]
    at_s: float
    _instances: Instances[ScreenRow] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_instances", Instances(self.rows))

    def row_for(self, pod: str, container: str, container_id: str, started_at_s: float) -> ScreenRow | None:
        """Return the row of one container instance, or None when Prometheus has none of it."""
        known = self._instances.by_id(pod, container, container_id)
        if known is not None:
            return known
        newest = self._instances.newest(pod, container, started_at_s)
        return None if newest is None else self._since(newest, started_at_s)

    def _since(self, row: ScreenRow, start_s: float) -> ScreenRow:
        """Drop the slopes of windows that reach back to a predecessor."""
        pairs = zip(self.windows_s, row.slopes_bytes_per_s, strict=True)
        return replace(row, slopes_bytes_per_s=tuple(s if self.at_s - w >= start_s else None for w, s in pairs))
