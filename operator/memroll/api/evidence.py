"""Evidence: what is captured of a pod before it is rolled, and what came of it.

Everything in a status stands there cleaned and bounded: a pod wrote most of it.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from memroll.api.base import Model, Time, Word
from memroll.api.quantity import Duration

POINTS_MAX = 120
LINES_MAX = 200
LINE_CHARS_MAX = 400
TAILS_MAX = 2
GROWTH_MAX = 10
TYPES_MAX = 10
REFERRERS_MAX = 3
TEXT_CHARS_MAX = 200
NUMBER_MAX = 2**53 - 1
"""More is no exact number any more to half of the programs that read JSON."""
LEAST, MOST = timedelta(seconds=1), timedelta(seconds=60)
PATH_PATTERN = "^(/|(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+/?)$"
"""No query, no fragment, no escapes, and no segment that begins with a dot."""

Count = Annotated[int, Field(ge=0, le=NUMBER_MAX)]
Text = Annotated[str, Field(max_length=TEXT_CHARS_MAX)]
Line = Annotated[str, Field(max_length=LINE_CHARS_MAX)]
Point = Annotated[tuple[Count, ...], Field(min_length=2, max_length=2)]


class HttpSpec(Model):
    """Where a pod answers with its own memory report, as `memroll-probe` writes it."""

    port: int = Field(ge=1, le=65535)
    """A TCP port that one of the pod's containers declares."""
    path: str = Field(default="/debug/memory", min_length=1, max_length=256, pattern=PATH_PATTERN)


class EvidenceSpec(Model):
    """What is captured of a pod before it is rolled, beside its memory series, restarts and OOM kills."""

    http: HttpSpec | None = None
    """Where the pod reports on its own memory. Without it, nothing is asked of the pod."""
    log_lines: int = Field(default=50, ge=0, le=LINES_MAX)
    """How many of its last log lines are kept, redacted."""
    timeout: Duration = timedelta(seconds=10)
    """How long all of it may take, from 1s to 60s. It takes less where the pod's limit is near."""

    @model_validator(mode="after")
    def _takes_a_while(self) -> Self:
        if not LEAST <= self.timeout <= MOST:
            raise ValueError("`timeout` must be from 1s to 60s")
        return self


class Part(StrEnum):
    """What evidence consists of."""

    ALL = "all"
    SERIES = "series"
    LOGS = "logs"
    HTTP = "http"


class Missing(Model):
    """What could not be had, and why."""

    part: Part
    reason: str = Field(max_length=256)


class MemorySeries(Model):
    """How the container's memory went, thinned: of each stretch the least and the greatest sample are kept."""

    container: Word
    limit_bytes: Count | None = None
    begin: Time
    points: tuple[Point, ...] = Field(default=(), max_length=POINTS_MAX)
    """Each is seconds since `begin`, and the working set in bytes."""


class ContainerHistory(Model):
    """How often a container was restarted and killed before the roll."""

    container: Word
    image: str = Field(default="", max_length=512)
    started: Time | None = None
    restarts: Count = 0
    oom_killed: Time | None = None
    """When the kernel last killed the container, by its status."""
    oom_kills: Count = 0
    """Processes in it that the kernel killed since it started, by Prometheus."""


class LogTail(Model):
    """The last lines of a container's log, redacted."""

    container: Word
    previous: bool = False
    """Whether they are of the instance before the one that ran."""
    lines: tuple[Line, ...] = Field(default=(), max_length=LINES_MAX)
    redacted: Count = 0
    """Lines in which something was taken out."""
    dropped: Count = 0
    """Older lines that found no room."""


class GrownLine(Model):
    """A line of code whose memory grew."""

    file: Text
    line: Count = 0
    bytes: Count
    """Growth since the probe's baseline."""
    blocks: Count | None = None
    total_bytes: Count | None = None

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class RisingType(Model):
    """A type whose objects went on to rise over full collections."""

    type: Text
    count: Count
    growth: Count | None = None
    collections: Count | None = None
    referrers: tuple[Text, ...] = Field(default=(), max_length=REFERRERS_MAX)


class Tracing(Model):
    state: Word = ""
    frames: Count | None = None
    since_seconds: Count | None = None
    baseline_seconds: Count | None = None
    traced_bytes: Count | None = None
    overhead_bytes: Count | None = None


class ProbeReport(Model):
    """What is kept of the pod's own report. Every number is the pod's word."""

    uptime_seconds: Count | None = None
    rss_bytes: Count | None = None
    peak_rss_bytes: Count | None = None
    uss_bytes: Count | None = None
    threads: Count | None = None
    asyncio_tasks: Count | None = None
    requests_total: Count | None = None
    requests_in_flight: Count | None = None
    uncollectable: Count | None = None
    """Objects that the garbage collector could not free."""
    tracing: Tracing = Tracing()
    growth: tuple[GrownLine, ...] = Field(default=(), max_length=GROWTH_MAX)
    """The lines that grew most, largest first."""
    types: tuple[RisingType, ...] = Field(default=(), max_length=TYPES_MAX)
    truncated: bool = False
    errors: tuple[Text, ...] = Field(default=(), max_length=REFERRERS_MAX)


class Evidence(Model):
    """What was found of a pod before it was rolled."""

    captured_at: Time
    took_seconds: float = Field(default=0.0, ge=0)
    series: MemorySeries | None = None
    containers: tuple[ContainerHistory, ...] = Field(default=(), max_length=16)
    logs: tuple[LogTail, ...] = Field(default=(), max_length=TAILS_MAX)
    probe: ProbeReport | None = None
    missing: tuple[Missing, ...] = Field(default=(), max_length=8)

    @property
    def grown(self) -> tuple[GrownLine, ...]:
        """The lines whose memory grew, largest first; none without a report of the pod."""
        return self.probe.growth if self.probe else ()
