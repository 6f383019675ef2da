"""What was had of a pod, as the parts of its Evidence: thinned, redacted and cut. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from memroll.api.evidence import LINES_MAX, NUMBER_MAX, POINTS_MAX, ContainerHistory, LogTail, MemorySeries
from memroll.detection.downsampling import thinned
from memroll.evidence.redact import redacted
from memroll.evidence.sanitize import READ_CHARS_MAX

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from memroll.detection.samples import SeriesRow
    from memroll.model.pods import Container, Target

LOG_CHARS_MAX = 8 * 1024
RAW_CHARS_MAX = 4 * LOG_CHARS_MAX
"""What is looked at for what is kept: patterns take time."""
CONTAINERS_MAX = 16
IMAGE_CHARS_MAX = 512


def memory_series(row: SeriesRow, container: Container) -> MemorySeries | None:
    """Return the working set, which counts against the limit; None without a sample."""
    whole = row.working_set if len(row.working_set) else row.rss
    if not len(whole):
        return None
    kept = thinned(whole, POINTS_MAX)
    times, values = kept.times_s.tolist(), kept.values.tolist()
    points = ((int(t - times[0]), min(max(0, int(v)), NUMBER_MAX)) for t, v in zip(times, values, strict=True))
    return MemorySeries(
        container=container.name,
        limit_bytes=container.limit_bytes,
        begin=datetime.fromtimestamp(times[0], UTC).replace(microsecond=0),
        points=tuple(points),
    )


def histories(pod: Target, watched: str, row: SeriesRow | None) -> Iterator[ContainerHistory]:
    """Yield what became of each container; Prometheus also knows of processes killed inside of one that lived on."""
    for c in pod.containers[:CONTAINERS_MAX]:
        rises = row.ooms.values[-1] - row.ooms.values[0] if row and c.name == watched and len(row.ooms) else 0
        yield ContainerHistory(
            container=c.name,
            image=c.image[:IMAGE_CHARS_MAX],
            started=c.started_at,
            restarts=c.restarts,
            oom_killed=c.oom_killed_at,
            oom_kills=max(0, int(rises)),
        )


def log_tail(container: str, lines: Sequence[str], chars_most: int, *, previous: bool = False) -> LogTail | None:
    """Return the newest lines that find room, redacted; None where there are none."""
    looked_at = _newest(lines[-LINES_MAX:], RAW_CHARS_MAX)
    made = list(redacted(looked_at))
    texts = _newest([text for text, _ in made], chars_most)
    if not texts:
        return None
    return LogTail(
        container=container,
        previous=previous,
        lines=tuple(texts),
        redacted=sum(gone for _, gone in made[-len(texts) :]),
        dropped=len(lines) - len(texts),
    )


def _newest(lines: Sequence[str], chars_most: int) -> list[str]:
    """Return the last lines that are no more than so many characters in all."""
    kept: list[str] = []
    for line in reversed(lines):
        chars_most -= min(len(line), READ_CHARS_MAX) + 1
        if chars_most < 0:
            break
        kept.append(line)
    return kept[::-1]
