"""What one read of Prometheus brought, and which of it belongs to which container instance."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from memroll.analysis.series import Series


@dataclass(frozen=True, slots=True, eq=False)
class SeriesRow:
    """One container instance as Prometheus knows it."""

    pod: str
    container: str
    container_id: str
    """The runtime's ID without its scheme; empty when the labels don't tell."""
    rss: Series
    working_set: Series

    @property
    def last_s(self) -> float:
        """Time of the newest sample of either metric; minus infinity when there is none."""
        return max(self.rss.last_s, self.working_set.last_s)

    def since(self, start_s: float) -> SeriesRow:
        """Return the row without what came before `start_s`."""
        rss, working_set = (s.between(start_s, float("inf")) for s in (self.rss, self.working_set))
        return SeriesRow(self.pod, self.container, self.container_id, rss, working_set)


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    rows: tuple[SeriesRow, ...]
    at_s: float
    """The instant that the queries were about, in seconds since the epoch."""
    _by_id: dict[tuple[str, str, str], SeriesRow] = field(init=False, repr=False)
    _newest: dict[tuple[str, str], SeriesRow] = field(init=False, repr=False)
    """The fallback: of each container that no row knows by ID, the row with the newest sample."""

    def __post_init__(self) -> None:
        by_id = {(r.pod, r.container, r.container_id): r for r in self.rows if r.container_id}
        known = {(pod, container) for pod, container, _ in by_id}
        newest: dict[tuple[str, str], SeriesRow] = {}
        for row in self.rows:
            key = (row.pod, row.container)
            if key not in known and (key not in newest or row.last_s > newest[key].last_s):
                newest[key] = row
        object.__setattr__(self, "_by_id", by_id)
        object.__setattr__(self, "_newest", newest)

    def row_for(self, pod: str, container: str, container_id: str, started_at_s: float) -> SeriesRow | None:
        """Return the samples of one container instance, or None when Prometheus has none of it.

        The ID decides. Only where the labels of a container carry no ID at all (some runtimes' exporters drop
        them), its newest row counts, cut at the start of the instance. Rows are never added up: two IDs under
        one name are an instance and its predecessor, not two halves.
        """
        exact = self._by_id.get((pod, container, container_id)) if container_id else None
        if exact is not None:
            return exact
        newest = self._newest.get((pod, container))
        if newest is None or newest.last_s <= started_at_s:
            return None
        return newest.since(started_at_s)
