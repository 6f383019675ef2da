"""Capture the evidence of a pod before it is rolled.

A CaptureRequest and the clients go in, an `Evidence` record comes out; `reconcile.roll` calls it. All sections are
requested at the same time, each within the remaining time. A section that fails is recorded as missing, with a reason:
no section can fail a roll.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

from memroll.api.evidence import MAX_POINTS, Evidence, EvidenceSection, MissingSection
from memroll.api.policy import DEFAULT_CONNECTION
from memroll.detection.samples import ReadRequest, SampleRange
from memroll.errors import MemrollError, NotFoundError, ProbeUnavailableError, TerminalError
from memroll.evidence.probe_report import parse_report
from memroll.evidence.sections import MAX_LOG_CHARS, container_restarts, log_tail, memory_series

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from memroll.api.evidence import LogTail, MemorySeries, ProbeReport
    from memroll.api.pod_roll import PodRoll
    from memroll.api.policy import MemoryPolicy
    from memroll.detection.assess import SampleReader
    from memroll.detection.samples import SeriesRow
    from memroll.model.permissions import Permissions
    from memroll.model.pods import Container, Pod, PodKey

T = TypeVar("T")

MAX_LOOKBACK = timedelta(days=7)
"""Maximum length of the captured memory series, chosen by hand."""
RECENT_RESTART = timedelta(hours=1)
"""Age of a container up to which the log of its previous instance is captured as well, chosen by hand."""
MAX_REASON_CHARS = 256
"""Maximum length of `MissingSection.reason`, as in the CRD."""


class LogReader(Protocol):
    """Reads container logs from the Kubernetes API."""

    async def read_logs(
        self, pod: PodKey, container: str, lines: int, timeout_s: float, *, previous: bool = False
    ) -> tuple[str, ...]: ...


class ReportFetcher(Protocol):
    """Fetches the memory report of a pod from the pod itself."""

    async def fetch_report(self, ip: str, port: int, path: str, timeout_s: float) -> bytes: ...


@dataclass(frozen=True, slots=True)
class CaptureRequest:
    """Pod to capture the evidence of, the roll and policy that it is captured for, and the time allowed."""

    roll: PodRoll
    policy: MemoryPolicy | None
    pod: Pod
    permissions: Permissions
    now: datetime
    remaining_s: float

    @property
    def container(self) -> Container | None:
        """The leaking container; for a roll that a person requested, the first one of the pod."""
        trigger = self.roll.spec.trigger
        matching = (c for c in self.pod.containers if trigger is None or c.name == trigger.container)
        return next(matching, None)


async def capture_evidence(
    request: CaptureRequest, logs: LogReader, samples: SampleReader, reports: ReportFetcher | None
) -> Evidence:
    """Return all sections that could be captured in time, and the reason for each missing one.

    Without `reports`, no pod is contacted.
    """
    clock = asyncio.get_running_loop().time
    started_s = clock()
    missing: list[MissingSection] = []
    row, tails, probe = await asyncio.gather(
        _section(EvidenceSection.SERIES, partial(_read_row, request, samples), request.remaining_s, missing),
        _section(EvidenceSection.LOGS, partial(_read_log_tails, request, logs), request.remaining_s, missing),
        _section(EvidenceSection.HTTP, partial(_fetch_probe_report, request, reports), request.remaining_s, missing),
    )
    container = request.container
    series = await _section(EvidenceSection.SERIES, partial(_build_series, request, row), request.remaining_s, missing)
    if series is None and not any(m.section is EvidenceSection.SERIES for m in missing):
        reason = "Prometheus has no samples of this container"
        missing.append(MissingSection(section=EvidenceSection.SERIES, reason=reason))
    return Evidence(
        captured_at=request.now,
        took_seconds=round(clock() - started_s, 3),
        series=series,
        containers=tuple(container_restarts(request.pod, container.name if container else "", row)),
        logs=tails or (),
        probe=probe,
        missing=tuple(sorted(missing, key=lambda m: m.section)),
    )


async def _section(
    section: EvidenceSection, read: Callable[[], Awaitable[T]], remaining_s: float, missing: list[MissingSection]
) -> T | None:
    """Read a section for at most the remaining time; record the reason when it fails.

    `read` is called here, so that a capture that is canceled before it starts leaves no coroutine that nobody awaits.
    """
    try:
        async with asyncio.timeout(remaining_s):
            return await read()
    except TimeoutError:
        reason = f"no complete response in {remaining_s:.1f} s"
    except MemrollError as error:
        reason = _error_reason(section, error)
    except Exception as error:  # noqa: BLE001 - an unforeseen response of a pod must not fail its roll
        reason = f"could not be read: {type(error).__name__}"
    missing.append(MissingSection(section=section, reason=reason[:MAX_REASON_CHARS]))
    return None


def _error_reason(section: EvidenceSection, error: MemrollError) -> str:
    if isinstance(error, TerminalError) and error.reason == "Forbidden":
        return f"forbidden: memroll has no right to read {section.value} here"
    return error.message


async def _read_row(request: CaptureRequest, samples: SampleReader) -> SeriesRow | None:
    """Read the series of the leaking container since its start, at the resolution that the record keeps."""
    container, policy = request.container, request.policy
    if container is None or container.started_at is None:
        raise ProbeUnavailableError("NotRunning", "the container is not running")
    age_s = min(request.now - container.started_at, MAX_LOOKBACK).total_seconds()
    span = SampleRange.with_step(max(age_s, 1.0), max(age_s, 1.0) / MAX_POINTS)
    connection = DEFAULT_CONNECTION if policy is None else policy.spec.prometheus
    pod = request.pod.key
    read = ReadRequest(pod.namespace, (pod.name,), span, request.now.timestamp())
    reading = await samples.read(connection, read)
    return reading.row_for(pod.name, container.name, container.id, container.started_at.timestamp())


async def _build_series(request: CaptureRequest, row: SeriesRow | None) -> MemorySeries | None:
    container = request.container
    return memory_series(row, container) if row and container else None


async def _read_log_tails(request: CaptureRequest, logs: LogReader) -> tuple[LogTail, ...]:
    """Read the tail of the container's log, and that of its previous instance after a recent restart."""
    count, container = request.roll.spec.evidence.log_lines, request.container
    if not count or container is None:
        return ()
    if not request.permissions.logs:
        raise ProbeUnavailableError("NotPermitted", "memroll was installed without the right to read logs")
    lines = await logs.read_logs(request.pod.key, container.name, count, request.remaining_s)
    tails = [await asyncio.to_thread(log_tail, container.name, lines, MAX_LOG_CHARS)]  # redaction takes time
    used_chars = sum(len(line) + 1 for tail in tails if tail for line in tail.lines)
    if container.restarts and container.started_at and request.now - container.started_at < RECENT_RESTART:
        earlier = await _read_previous_log(request, container, logs)
        left_chars = MAX_LOG_CHARS - used_chars
        tails.append(await asyncio.to_thread(log_tail, container.name, earlier, left_chars, previous=True))
    return tuple(tail for tail in tails if tail is not None)


async def _read_previous_log(request: CaptureRequest, container: Container, logs: LogReader) -> tuple[str, ...]:
    """Return the log lines of the previous instance; none if the kubelet has dropped them."""
    count = request.roll.spec.evidence.log_lines
    try:
        return await logs.read_logs(request.pod.key, container.name, count, request.remaining_s, previous=True)
    except (TerminalError, NotFoundError):
        return ()


async def _fetch_probe_report(request: CaptureRequest, reports: ReportFetcher | None) -> ProbeReport | None:
    """Fetch the pod's own report, at an address and a port that belong to the pod."""
    http, pod = request.roll.spec.evidence.http, request.pod
    if http is None:
        return None
    if reports is None or not request.permissions.http:
        raise ProbeUnavailableError("NotPermitted", "memroll was installed without HTTP requests to pods")
    if not pod.ip:
        raise ProbeUnavailableError("NoAddress", "the pod has no IP address of its own: none yet, or that of its node")
    if not any(http.port in c.ports for c in pod.containers):
        raise ProbeUnavailableError("NotDeclared", f"no container of the pod declares TCP port {http.port}")
    body = await reports.fetch_report(pod.ip, http.port, http.path, request.remaining_s)
    return await asyncio.to_thread(parse_report, body)  # the text in it takes time
