"""Evidence: the record of a pod's memory, logs and own report, captured before the pod is rolled.

Written by `evidence.capture`, read by the leak ledger and `memroll report`. All texts are sanitized and all sizes are
bounded before they are written to a status: most of the content comes from the pod.

The limits are chosen by hand: a PodRoll with all sections has about 25 KiB, far below etcd's 1.5 MiB.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from memroll.api.base import ATOMIC, ApiModel, ImageName, ShortText, Time
from memroll.api.quantity import Duration

MAX_POINTS = 120
"""Maximum number of points in a memory series."""
MAX_LOG_LINES = 200
"""Maximum number of lines in a log tail."""
MAX_LINE_CHARS = 400
"""Maximum length of a log line."""
MAX_LOG_TAILS = 2
"""Maximum number of log tails: of the running and the previous instance of the container."""
MAX_GROWN_LINES = 10
"""Maximum number of lines of code in a probe report."""
MAX_RISING_TYPES = 10
"""Maximum number of types in a probe report."""
MAX_REFERRERS = 3
"""Maximum number of referrers of a type, and of errors of the probe."""
MAX_TEXT_CHARS = 200
"""Maximum length of a text in a probe report."""
MAX_NUMBER = 2**53 - 1
"""Maximum number in a record: larger integers are not exact in JSON readers that use doubles (RFC 8259, section 6)."""
MIN_TIMEOUT, MAX_TIMEOUT = timedelta(seconds=1), timedelta(seconds=60)
PATH_PATTERN = "^(/|(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+/?)$"
"""Pattern of an HTTP path: no query, no fragment, no escapes, and no segment that begins with a dot."""

Count = Annotated[int, Field(ge=0, le=MAX_NUMBER)]
Text = Annotated[str, Field(max_length=MAX_TEXT_CHARS)]
Line = Annotated[str, Field(max_length=MAX_LINE_CHARS)]
Point = Annotated[tuple[Count, ...], Field(min_length=2, max_length=2, json_schema_extra=ATOMIC)]


class HttpSpec(ApiModel):
    """HTTP endpoint of a pod's own memory report, in the format of `memroll-probe`."""

    port: int = Field(ge=1, le=65535)
    """TCP port that one of the pod's containers declares."""
    path: str = Field(default="/debug/memory", min_length=1, max_length=256, pattern=PATH_PATTERN)
    """HTTP path of the report."""


class EvidenceSpec(ApiModel):
    """Evidence to capture before a pod is rolled, in addition to its memory series, restarts and OOM kills."""

    http: HttpSpec | None = None
    """Endpoint of the pod's own memory report. Without it, no request is sent to the pod."""
    log_lines: int = Field(default=50, ge=0, le=MAX_LOG_LINES)
    """Number of the container's last log lines to keep, redacted."""
    timeout: Duration = timedelta(seconds=10)
    """Time limit for capturing all sections, from 1s to 60s. It is shorter where the pod is close to its limit."""

    @model_validator(mode="after")
    def _require_range(self) -> Self:
        if not MIN_TIMEOUT <= self.timeout <= MAX_TIMEOUT:
            raise ValueError("`timeout` must be from 1s to 60s")
        return self


class EvidenceSection(StrEnum):
    """Sections of evidence that can be missing."""

    ALL = "all"
    SERIES = "series"
    LOGS = "logs"
    HTTP = "http"


class MissingSection(ApiModel):
    """Section that could not be captured."""

    section: EvidenceSection
    reason: str = Field(max_length=256)
    """Error because of which the section is missing."""


class MemorySeries(ApiModel):
    """Working set of the container over time, downsampled: the minimum and the maximum of each bin are kept."""

    container: ShortText
    """Name of the container."""
    limit_bytes: Count | None = None
    """Memory limit of the container."""
    begin: Time
    """Time of the first point."""
    points: tuple[Point, ...] = Field(default=(), max_length=MAX_POINTS, json_schema_extra=ATOMIC)
    """Pairs of seconds since `begin` and the working set in bytes."""


class ContainerRestarts(ApiModel):
    """Restarts and OOM kills of a container before the roll."""

    container: ShortText
    """Name of the container."""
    image: ImageName = ""
    """Image of the container."""
    started: Time | None = None
    """Start of the container's running instance."""
    restarts: Count = 0
    """Restart count in the pod's status."""
    oom_killed: Time | None = None
    """Time of the container's last OOM kill in the pod's status."""
    oom_kills: Count = 0
    """Number of processes that were OOM-killed since the container's start, from Prometheus."""


class LogTail(ApiModel):
    """Last lines of a container's log, redacted."""

    container: ShortText
    """Name of the container."""
    previous: bool = False
    """True for the log of the previous instance of the container."""
    lines: tuple[Line, ...] = Field(default=(), max_length=MAX_LOG_LINES, json_schema_extra=ATOMIC)
    """Log lines, oldest first."""
    redacted: Count = 0
    """Number of lines from which something was removed."""
    dropped: Count = 0
    """Number of older lines that did not fit."""


class GrownLine(ApiModel):
    """Line of code whose allocated memory grew."""

    file: Text
    """File of the line."""
    line: Count = 0
    """Number of the line; 0 if unknown."""
    bytes: Count
    """Growth since the probe's baseline, in bytes."""
    blocks: Count | None = None
    """Growth since the probe's baseline, in memory blocks."""
    total_bytes: Count | None = None
    """Memory that was allocated by this line and is still in use."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class RisingType(ApiModel):
    """Type whose number of objects kept rising over full garbage collections."""

    type: Text
    """Qualified name of the type."""
    count: Count
    """Number of its objects now."""
    growth: Count | None = None
    """Number of objects by which the type grew."""
    collections: Count | None = None
    """Number of full garbage collections over which it grew."""
    referrers: tuple[Text, ...] = Field(default=(), max_length=MAX_REFERRERS, json_schema_extra=ATOMIC)
    """Chains of referrers of its objects, from the nearest one up to a module or a class."""


class TracingState(ApiModel):
    """State of the probe's allocation tracing."""

    state: ShortText = ""
    """`off`, `warming` or `tracing`."""
    frames: Count | None = None
    """Stack frames per allocation."""
    since_seconds: Count | None = None
    """Time since tracing began."""
    baseline_seconds: Count | None = None
    """Time since the baseline that growth is measured from."""
    traced_bytes: Count | None = None
    """Memory of all traced allocations."""
    overhead_bytes: Count | None = None
    """Memory that tracing itself uses."""


class ProbeReport(ApiModel):
    """Bounded copy of the pod's own report. All numbers come from the pod and are not verified."""

    uptime_seconds: Count | None = None
    """Time since the start of the process."""
    rss_bytes: Count | None = None
    """Resident set size of the process."""
    peak_rss_bytes: Count | None = None
    """Peak resident set size of the process."""
    uss_bytes: Count | None = None
    """Unique set size of the process: memory that no other process shares."""
    threads: Count | None = None
    """Number of threads."""
    asyncio_tasks: Count | None = None
    """Number of asyncio tasks."""
    requests_total: Count | None = None
    """Number of requests since the start of the process."""
    requests_in_flight: Count | None = None
    """Number of requests that are being served."""
    uncollectable: Count | None = None
    """Number of objects that the garbage collector could not free."""
    tracing: TracingState = TracingState()
    growth: tuple[GrownLine, ...] = Field(default=(), max_length=MAX_GROWN_LINES, json_schema_extra=ATOMIC)
    """Lines of code with the most growth, largest first."""
    types: tuple[RisingType, ...] = Field(default=(), max_length=MAX_RISING_TYPES, json_schema_extra=ATOMIC)
    """Types whose number of objects keeps rising."""
    truncated: bool = False
    """True if the report did not fit into the probe's size limit."""
    errors: tuple[Text, ...] = Field(default=(), max_length=MAX_REFERRERS, json_schema_extra=ATOMIC)
    """Errors that the probe reports."""


class Evidence(ApiModel):
    """Evidence about a pod, captured before it was rolled."""

    captured_at: Time
    """Time of the step of the roll that captured the evidence."""
    took_seconds: float = Field(default=0.0, ge=0)
    """Time that capturing took."""
    series: MemorySeries | None = None
    containers: tuple[ContainerRestarts, ...] = Field(default=(), max_length=16, json_schema_extra=ATOMIC)
    """Restarts and OOM kills of each container."""
    logs: tuple[LogTail, ...] = Field(default=(), max_length=MAX_LOG_TAILS, json_schema_extra=ATOMIC)
    """Last log lines of the container's running and previous instance, redacted."""
    probe: ProbeReport | None = None
    missing: tuple[MissingSection, ...] = Field(default=(), max_length=8, json_schema_extra=ATOMIC)
    """Sections that could not be captured."""

    @property
    def grown_lines(self) -> tuple[GrownLine, ...]:
        """Lines of code whose memory grew, largest first; empty without a report of the pod."""
        return self.probe.growth if self.probe else ()
