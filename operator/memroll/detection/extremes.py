"""Long histories as Prometheus computes them: request, result, and the row in it of a container instance.

Built by `clients.prometheus`; `assess` reads them for the candidates that are near their limit.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from memroll.detection.samples import TICK_S, InstanceIndex

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memroll.detection.series import Series


@dataclass(frozen=True, slots=True)
class ExtremesRequest:
    """Selection of long histories: all containers of some pods of one namespace."""

    namespace: str
    pods: Sequence[str]
    """Names of the pods."""
    step_s: float
    lookback_s: float
    at_s: float
    """Time of the read, in seconds since the epoch. The steps that ended by then are returned."""

    @property
    def start_s(self) -> float:
        return self.at_s - self.lookback_s

    @property
    def end_s(self) -> float:
        """End of the newest complete step: a multiple of the step."""
        return last_step_end_s(self.at_s, self.step_s)


def last_step_end_s(at_s: float, step_s: float) -> float:
    """Return the newest multiple of the step up to `at_s`. In milliseconds, as Prometheus computes it."""
    step_ms = round(step_s * 1000)
    return round(at_s * 1000) // step_ms * step_ms / 1000


@dataclass(frozen=True, slots=True, eq=False)
class ExtremesRow:
    """Minimum and maximum of the RSS of one container instance in each step; a step's time is its end."""

    pod: str
    container: str
    container_id: str
    """The runtime's ID without its scheme; empty if the labels do not contain it."""
    minima: Series
    maxima: Series

    @property
    def last_s(self) -> float:
        """End of the newest step with samples."""
        return self.minima.last_s

    @property
    def rank(self) -> tuple[bool, float, float]:
        """Rank among the rows of a container without IDs."""
        return True, self.last_s, self.last_s


@dataclass(frozen=True, slots=True, eq=False)
class Extremes:
    """Long histories of several container instances."""

    rows: tuple[ExtremesRow, ...]
    step_s: float
    _instances: InstanceIndex[ExtremesRow] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_instances", InstanceIndex(self.rows))

    def row_for(self, pod: str, container: str, container_id: str, started_at_s: float) -> ExtremesRow | None:
        """Return the long history of one container instance, or None.

        Without an ID: whole steps after its start, because an earlier one also has samples of its predecessor.
        """
        row = self._instances.by_id(pod, container, container_id)
        if row is not None:
            return row
        newest = self._instances.newest(pod, container, started_at_s)
        if newest is None:
            return None
        start_s = started_at_s + self.step_s - TICK_S
        minima, maxima = (s.between(start_s, float("inf")) for s in (newest.minima, newest.maxima))
        return replace(newest, minima=minima, maxima=maxima)


NO_EXTREMES = Extremes((), 1.0)
"""Result without any long history."""
