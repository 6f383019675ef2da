"""Evidence of a pod that is about to go: each part is asked for at the same time, and none of them can fail a roll."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol, TypeVar

from memroll.api.evidence import POINTS_MAX, Evidence, Missing, Part
from memroll.api.policy import DEFAULT_CONNECTION
from memroll.detection.assess import STEP_LEAST_S, Prometheus
from memroll.detection.samples import Span
from memroll.errors import MemrollError, NotFound, Stalled, Unanswered
from memroll.evidence import probe_report
from memroll.evidence.sections import LOG_CHARS_MAX, histories, log_tail, memory_series

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from datetime import datetime

    from memroll.api.evidence import LogTail, ProbeReport
    from memroll.api.pod_roll import PodRoll
    from memroll.api.policy import MemoryPolicy
    from memroll.detection.samples import SeriesRow
    from memroll.model.permissions import Permits
    from memroll.model.pods import Container, PodKey, Target

T = TypeVar("T")

LOOK_BACK = timedelta(days=7)
LATELY = timedelta(hours=1)
"""A container that was restarted so lately is asked for its earlier log, too."""
REASON_CHARS_MAX = 256


class Cluster(Protocol):
    """What capturing needs of Kubernetes."""

    async def logs(
        self, pod: PodKey, container: str, lines: int, timeout_s: float, *, previous: bool = False
    ) -> tuple[str, ...]: ...


class Reports(Protocol):
    """What capturing needs of the pod itself."""

    async def report(self, ip: str, port: int, path: str, timeout_s: float) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Sources:
    """Where evidence is had from."""

    cluster: Cluster
    prometheus: Prometheus
    reports: Reports | None
    """None: no pod is asked."""


@dataclass(frozen=True, slots=True)
class Inquiry:
    """What is asked about which pod, and in how much time."""

    roll: PodRoll
    policy: MemoryPolicy | None
    pod: Target
    permits: Permits
    now: datetime
    left_s: float

    @property
    def container(self) -> Container | None:
        """The one that leaks; of a roll by hand nobody knows, and the first one stands for it."""
        finding = self.roll.spec.finding
        named = (c for c in self.pod.containers if finding is None or c.name == finding.container)
        return next(named, None)


async def capture(inquiry: Inquiry, sources: Sources) -> Evidence:
    """Return what could be had in time, and why the rest could not."""
    clock = asyncio.get_running_loop().time
    begun_s = clock()
    missing: list[Missing] = []
    row, logs, probe = await asyncio.gather(
        _had(Part.SERIES, _row(inquiry, sources.prometheus), inquiry.left_s, missing),
        _had(Part.LOGS, _logs(inquiry, sources.cluster), inquiry.left_s, missing),
        _had(Part.HTTP, _probe(inquiry, sources.reports), inquiry.left_s, missing),
    )
    container = inquiry.container
    series = memory_series(row, container) if row and container else None
    if series is None and not any(m.part is Part.SERIES for m in missing):
        missing.append(Missing(part=Part.SERIES, reason="Prometheus has no samples of this container"))
    return Evidence(
        captured_at=inquiry.now,
        took_seconds=round(clock() - begun_s, 3),
        series=series,
        containers=tuple(histories(inquiry.pod, container.name if container else "", row)),
        logs=logs or (),
        probe=probe,
        missing=tuple(sorted(missing, key=lambda m: m.part)),
    )


async def _had(part: Part, asked: Awaitable[T], left_s: float, missing: list[Missing]) -> T | None:
    """Wait for a part no longer than there is time; note why it could not be had."""
    try:
        async with asyncio.timeout(left_s):
            return await asked
    except TimeoutError:
        reason = f"no whole answer in {left_s:.1f} s"
    except MemrollError as trouble:
        reason = _words(part, trouble)
    except Exception as defect:  # noqa: BLE001 - what a pod answers must not fail its roll, whatever we overlooked
        reason = f"could not be read: {type(defect).__name__}"
    missing.append(Missing(part=part, reason=reason[:REASON_CHARS_MAX]))
    return None


def _words(part: Part, trouble: MemrollError) -> str:
    if isinstance(trouble, Stalled) and trouble.reason == "Forbidden":
        return f"forbidden: memroll has no right to read {part.value} here"
    return trouble.message


async def _row(inquiry: Inquiry, prometheus: Prometheus) -> SeriesRow | None:
    """Read the life of the container that leaks, as finely as it is kept here."""
    container, policy = inquiry.container, inquiry.policy
    if container is None or container.started_at is None:
        raise Unanswered("NotRunning", "the container is not running")
    lived_s = min(inquiry.now - container.started_at, LOOK_BACK).total_seconds()
    step_s = max(lived_s, 1.0) / POINTS_MAX
    span = Span(max(lived_s, 1.0), round(step_s, 3) if step_s >= STEP_LEAST_S else None)
    connection = DEFAULT_CONNECTION if policy is None else policy.spec.prometheus
    pod = inquiry.pod.key
    reading = await prometheus.read(connection, pod.namespace, [pod.name], span, inquiry.now.timestamp())
    return reading.row_for(pod.name, container.name, container.id, container.started_at.timestamp())


async def _logs(inquiry: Inquiry, cluster: Cluster) -> tuple[LogTail, ...]:
    """Return the tail of the container's log, and of the one before it where it was restarted lately."""
    wanted, container = inquiry.roll.spec.evidence.log_lines, inquiry.container
    if not wanted or container is None:
        return ()
    if not inquiry.permits.logs:
        raise Unanswered("NotPermitted", "memroll was installed without the right to read logs")
    pod = inquiry.pod.key
    lines = await cluster.logs(pod, container.name, wanted, inquiry.left_s)
    tails = [log_tail(container.name, lines, LOG_CHARS_MAX)]
    used = sum(len(line) + 1 for tail in tails if tail for line in tail.lines)
    if container.restarts and container.started_at and inquiry.now - container.started_at < LATELY:
        earlier = await _previous(inquiry, container, cluster)
        tails.append(log_tail(container.name, earlier, LOG_CHARS_MAX - used, previous=True))
    return tuple(tail for tail in tails if tail is not None)


async def _previous(inquiry: Inquiry, container: Container, cluster: Cluster) -> tuple[str, ...]:
    """Return the lines of the instance before; none where the kubelet has dropped them."""
    wanted = inquiry.roll.spec.evidence.log_lines
    try:
        return await cluster.logs(inquiry.pod.key, container.name, wanted, inquiry.left_s, previous=True)
    except (Stalled, NotFound):
        return ()


async def _probe(inquiry: Inquiry, reports: Reports | None) -> ProbeReport | None:
    """Ask the pod itself, at an address and a port that are its own."""
    http, pod = inquiry.roll.spec.evidence.http, inquiry.pod
    if http is None:
        return None
    if reports is None or not inquiry.permits.http:
        raise Unanswered("NotPermitted", "memroll was installed to ask no pod")
    if not pod.ip:
        raise Unanswered("NoAddress", "the pod has no address of its own: it has none yet, or shares its node's")
    if not any(http.port in c.ports for c in pod.containers):
        raise Unanswered("NotDeclared", f"no container of the pod declares TCP port {http.port}")
    return probe_report.read(await reports.report(pod.ip, http.port, http.path, inquiry.left_s))
