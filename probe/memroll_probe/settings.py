"""Settings from the MEMROLL_PROBE_* variables.

A bad value never stops a service: the default is used, and the report's `errors` names the variable.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "MEMROLL_PROBE"
MAX_FRAMES = 50
"""Maximum number of frames of a call path, as in the report's schema. Chosen by hand."""
MIN_REPORT_BYTES = 2_048
"""Minimum of MEMROLL_PROBE_MAX_BYTES: a report without entries always fits, see size_limit."""


@dataclass(frozen=True)
class ProbeSettings:
    enabled: bool = False
    token: str = ""
    path: str = "/debug/memory"
    port: int = 0
    frames: int = 1
    warmup_s: float | None = None
    settle_s: float = 60.0
    trace_s: float | None = None
    interval_s: float = 60.0
    time_ratio: float = 0.01
    budget_s: float = 5.0
    max_bytes: int = 65_536
    deep: bool = False
    errors: tuple[str, ...] = ()

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> ProbeSettings:
        """Read the environment; `errors` has one message for each value that can't be used."""
        reader = _Reader(environ)
        return cls(
            enabled=environ.get(PREFIX) == "1",
            token=environ.get(f"{PREFIX}_TOKEN", "").strip(),
            path=_path(environ),
            port=int(reader.number("PORT", cls.port, 0, 65_535)),
            frames=int(reader.number("FRAMES", cls.frames, 1, MAX_FRAMES)),
            warmup_s=reader.number("WARMUP_SECONDS", 0.0) if environ.get(f"{PREFIX}_WARMUP_SECONDS") else None,
            trace_s=reader.number("TRACE_SECONDS", 0.0) if environ.get(f"{PREFIX}_TRACE_SECONDS") else None,
            settle_s=reader.number("SETTLE_SECONDS", cls.settle_s),
            interval_s=reader.number("INTERVAL_SECONDS", cls.interval_s),
            time_ratio=reader.number("TIME_SHARE", cls.time_ratio, 0.0001, 0.5),
            budget_s=reader.number("BUDGET_SECONDS", cls.budget_s, 0.1, 60.0),
            max_bytes=int(reader.number("MAX_BYTES", cls.max_bytes, MIN_REPORT_BYTES)),
            deep=environ.get(f"{PREFIX}_DEEP") == "1",
            errors=tuple(reader.errors),
        )


class _Reader:
    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.errors: list[str] = []

    def number(self, name: str, default: float, minimum: float = 0.0, maximum: float = 1e9) -> float:
        text = self._environ.get(f"{PREFIX}_{name}", "").strip()
        try:
            value = float(text) if text else default
        except ValueError:
            value = math.nan
        if minimum <= value <= maximum:  # false for NaN
            return value
        self.errors.append(f"{PREFIX}_{name} is not a number from {minimum:g} to {maximum:g}: {default:g} is used")
        return default


def _path(environ: Mapping[str, str]) -> str:
    return "/" + (environ.get(f"{PREFIX}_PATH", "").strip("/ ") or ProbeSettings.path.strip("/"))
