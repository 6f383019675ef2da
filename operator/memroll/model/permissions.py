"""The rights that memroll was installed with."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Permits:
    """What memroll was given the right to do when it was installed."""

    acting: bool = True
    surge: bool = True
    restart: bool = True
    logs: bool = True
    """Reading the logs of pods, as evidence."""
    http: bool = True
    """Asking pods for their own reports, as evidence."""


EVERYTHING = Permits()
