"""What the environment says. A bad value never stops a service: the default is used and the report says so."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "MEMROLL_PROBE"
MOST_FRAMES = 50
LEAST_BYTES = 2_048


@dataclass(frozen=True)
class Settings:
    on: bool = False
    token: str = ""
    path: str = "/debug/memory"
    port: int = 0
    frames: int = 1
    warmup_s: float | None = None
    settle_s: float = 60.0
    trace_s: float | None = None
    interval_s: float = 60.0
    time_share: float = 0.01
    budget_s: float = 5.0
    max_bytes: int = 65_536
    deep: bool = False
    problems: tuple[str, ...] = ()

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        """Read the environment; `problems` names what could not be used."""
        read = _Reader(environ)
        return cls(
            on=environ.get(PREFIX) == "1",
            token=environ.get(f"{PREFIX}_TOKEN", "").strip(),
            path=_path(environ),
            port=int(read.number("PORT", cls.port, 0, 65_535)),
            frames=int(read.number("FRAMES", cls.frames, 1, MOST_FRAMES)),
            warmup_s=read.number("WARMUP_SECONDS", 0.0) if environ.get(f"{PREFIX}_WARMUP_SECONDS") else None,
            trace_s=read.number("TRACE_SECONDS", 0.0) if environ.get(f"{PREFIX}_TRACE_SECONDS") else None,
            settle_s=read.number("SETTLE_SECONDS", cls.settle_s),
            interval_s=read.number("INTERVAL_SECONDS", cls.interval_s),
            time_share=read.number("TIME_SHARE", cls.time_share, 0.0001, 0.5),
            budget_s=read.number("BUDGET_SECONDS", cls.budget_s, 0.1, 60.0),
            max_bytes=int(read.number("MAX_BYTES", cls.max_bytes, LEAST_BYTES)),
            deep=environ.get(f"{PREFIX}_DEEP") == "1",
            problems=tuple(read.problems),
        )


class _Reader:
    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.problems: list[str] = []

    def number(self, name: str, default: float, least: float = 0.0, most: float = 1e9) -> float:
        text = self._environ.get(f"{PREFIX}_{name}", "").strip()
        try:
            value = float(text) if text else default
        except ValueError:
            value = math.nan
        if least <= value <= most:  # false for NaN
            return value
        self.problems.append(f"{PREFIX}_{name} is not a number from {least:g} to {most:g}: {default:g} is used")
        return default


def _path(environ: Mapping[str, str]) -> str:
    return "/" + (environ.get(f"{PREFIX}_PATH", "").strip("/ ") or Settings.path.strip("/"))
