"""Build the sections of an Evidence record: downsampled, redacted and truncated.

Samples, pods and log lines go in, API models come out; `evidence.capture` calls these functions. Pure.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from memroll.api.base import MAX_IMAGE_CHARS
from memroll.api.evidence import MAX_LOG_LINES, MAX_NUMBER, MAX_POINTS, ContainerRestarts, LogTail, MemorySeries
from memroll.detection.series import downsample
from memroll.evidence.redact import redact_lines
from memroll.evidence.sanitize import MAX_PARSED_CHARS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from memroll.detection.samples import SeriesRow
    from memroll.model.pods import Container, Pod

MAX_LOG_CHARS = 8 * 1024
"""Maximum number of characters of all log tails of a record, chosen by hand."""
MAX_RAW_LOG_CHARS = 4 * MAX_LOG_CHARS
"""Maximum number of characters that are redacted to fill one log tail: the patterns take time."""
MAX_CONTAINERS = 16
"""Maximum number of containers in a record, as in the CRD."""


def memory_series(row: SeriesRow, container: Container) -> MemorySeries | None:
    """Return the working set, which counts against the limit; None without a sample."""
    series = row.working_set if len(row.working_set) else row.rss
    if not len(series):
        return None
    kept = downsample(series, MAX_POINTS)
    times, values = kept.times_s.tolist(), kept.values.tolist()
    points = ((int(t - times[0]), min(max(0, int(v)), MAX_NUMBER)) for t, v in zip(times, values, strict=True))
    return MemorySeries(
        container=container.name,
        limit_bytes=container.limit_bytes,
        begin=datetime.fromtimestamp(times[0], UTC).replace(microsecond=0),
        points=tuple(points),
    )


def container_restarts(pod: Pod, assessed: str, row: SeriesRow | None) -> Iterator[ContainerRestarts]:
    """Yield the restarts and OOM kills of each container.

    `row` holds the samples of the container `assessed`: Prometheus also counts killed processes of a container that
    survived.
    """
    for c in pod.containers[:MAX_CONTAINERS]:
        kills = row.ooms.values[-1] - row.ooms.values[0] if row and c.name == assessed and len(row.ooms) else 0
        yield ContainerRestarts(
            container=c.name,
            image=c.image[:MAX_IMAGE_CHARS],
            started=c.started_at,
            restarts=c.restarts,
            oom_killed=c.oom_killed_at,
            oom_kills=min(max(0, int(kills)), MAX_NUMBER),
        )


def log_tail(container: str, lines: Sequence[str], max_chars: int, *, previous: bool = False) -> LogTail | None:
    """Return the newest lines that fit, redacted; None if there are none."""
    candidates = _newest(lines[-MAX_LOG_LINES:], MAX_RAW_LOG_CHARS)
    redacted = list(redact_lines(candidates))
    texts = _newest([text for text, _ in redacted], max_chars)
    if not texts:
        return None
    return LogTail(
        container=container,
        previous=previous,
        lines=tuple(texts),
        redacted=sum(changed for _, changed in redacted[-len(texts) :]),
        dropped=len(lines) - len(texts),
    )


def _newest(lines: Sequence[str], max_chars: int) -> list[str]:
    """Return the last lines that have at most this number of characters in total."""
    kept: list[str] = []
    for line in reversed(lines):
        max_chars -= min(len(line), MAX_PARSED_CHARS) + 1
        if max_chars < 0:
            break
        kept.append(line)
    return kept[::-1]
