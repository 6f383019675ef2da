"""Output of `memroll scan`: a table, a document, and policies for what leaks."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import yaml

from memroll.api import API_VERSION
from memroll.api.base import rfc3339
from memroll.api.cel_checks import TARGETS
from memroll.api.quantity import format_mib, format_rate, humanize_duration
from memroll.cli.errors import InvalidArgumentError
from memroll.cli.output import verdict_cell, without_empty

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from memroll.inspection.scan_result import Finding, PastLeak, ScanResult
    from memroll.rendering import Row

HEADER: Row = (
    "NAMESPACE", "WORKLOAD", "CONTAINER", "VERDICT", "USAGE", "GROWTH", "TIME-TO-LIMIT", "SINCE", "REVISION",
    "OOM-KILLS", "A-POLICY-WOULD",
)  # fmt: skip
WIDE: Row = ("IMAGE", "POD", "MESSAGE")
API_VERSIONS = {kind: version for version, kind in TARGETS}
"""API versions of the workloads that a policy can name as its target, by kind."""


def to_text(result: ScanResult, shown: Sequence[Finding], *, is_wide: bool) -> Iterator[str | list[Row]]:
    """Yield the lines and the table of a scan."""
    yield headline(result)
    if shown:
        yield ""
        header = (*HEADER, *WIDE) if is_wide else HEADER
        yield [header, *(_row(f, result.past.get(f.key), result.now, is_wide=is_wide) for f in shown)]
    if result.not_assessed:
        yield ""
        yield f"Not assessed: {_not_assessed(result)}"


def headline(result: ScanResult) -> str:
    """Return the result in one sentence."""
    leaking = sum(f.is_at_risk for f in result.findings)
    killed = sum(f.oom_killed_pods for f in result.findings)
    suspected = len([f for f in result.findings if f.verdict == "Suspected" and not f.is_at_risk])
    scope = f"{result.containers} containers of {result.pods} pods in {result.namespaces} namespaces"
    found = f"{leaking} of {len(result.findings)} workloads' containers leak or are about to reach their limit"
    return f"{found}, {suspected} are suspected, {killed} pods were OOM-killed ({scope})"


def _not_assessed(result: ScanResult) -> str:
    reasons: Counter[str] = Counter()
    for item in result.not_assessed:
        reasons[item.reason] += item.containers
    parts = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
    return f"{result.not_assessed_count} containers ({parts}); by namespace: -o json"


def _row(f: Finding, past: PastLeak | None, now: datetime, *, is_wide: bool) -> Row:
    kills = max(f.oom_killed_pods, past.oom_kills if past else 0)
    row: Row = (
        f.namespace,
        str(f.workload),
        f.container,
        verdict_cell(f.verdict),
        _usage(f),
        "" if f.growth_bytes_per_s is None or not f.is_at_risk else format_rate(f.growth_bytes_per_s),
        "" if f.time_to_limit_s is None else humanize_duration(f.time_to_limit_s),
        _since(past, now),
        (past.since_revision if past else "") or f.revision,
        str(kills) if kills else "",
        _outcome(past),
    )
    return (*row, f.image, f.pod, f.message) if is_wide else row


def _usage(f: Finding) -> str:
    if f.usage_bytes is None:
        return ""
    ratio = f.usage_ratio
    return format_mib(f.usage_bytes) + ("" if ratio is None else f" ({ratio:.0%})")


def _since(past: PastLeak | None, now: datetime) -> str:
    if past is None or past.since_s is None:
        return ""
    return f"{humanize_duration(max(0.0, now.timestamp() - past.since_s))} ago"


def _outcome(past: PastLeak | None) -> str:
    """Return what a policy would have done with the instances that were replayed."""
    if past is None or not past.replayed:
        return ""
    rolls = f"roll {past.rolls} of {past.replayed}"
    if not past.oom_kills:
        return rolls
    wasted = "" if past.wasted_ratio is None else f", giving up {past.wasted_ratio:.0%} of their life"
    return f"{rolls}, avoid {past.kills_avoided} of {past.oom_kills} OOM kills{wasted}"


def to_document(result: ScanResult, shown: Iterable[Finding]) -> dict[str, Any]:
    """Return a scan as a document. Its fields are part of the interface of the command."""
    return {
        "time": rfc3339(result.now),
        "namespaces": result.namespaces,
        "pods": result.pods,
        "containers": result.containers,
        "findings": [_document(f, result.past.get(f.key)) for f in shown],
        "notAssessed": [
            {"namespace": n.namespace, "reason": n.reason, "containers": n.containers} for n in result.not_assessed
        ],
    }


def _document(f: Finding, past: PastLeak | None) -> dict[str, Any]:
    found = {
        "namespace": f.namespace,
        "workload": str(f.workload),
        "container": f.container,
        "verdict": f.verdict.value,
        "message": f.message,
        "pod": f.pod,
        "revision": f.revision,
        "image": f.image,
        "startedAt": rfc3339(f.started_at) if f.started_at else None,
        "usageBytes": None if f.usage_bytes is None else round(f.usage_bytes),
        "limitBytes": f.limit_bytes,
        "growthBytesPerSecond": f.growth_bytes_per_s,
        "timeToLimitSeconds": f.time_to_limit_s,
        "pods": f.pods,
    }
    counts = {"atRisk": f.is_at_risk, "podsAtRisk": f.pods_at_risk, "podsOOMKilled": f.oom_killed_pods}
    return without_empty(found) | counts | ({} if past is None else {"history": _past_document(past)})


def _past_document(past: PastLeak) -> dict[str, Any]:
    since = None if past.since_s is None else rfc3339(datetime.fromtimestamp(past.since_s, UTC))
    counts = {
        "instances": past.instances,
        "replayed": past.replayed,
        "oomKills": past.oom_kills,
        "killsAvoided": past.kills_avoided,
        "rolls": past.rolls,
    }
    first = {"since": since, "sincePod": past.since_pod, "sinceRevision": past.since_revision}
    return counts | without_empty(first | {"wastedRatio": past.wasted_ratio})


def write_policies(folder: Path, findings: Iterable[Finding]) -> tuple[list[str], list[str]]:
    """Write a policy in mode Observe for each workload that leaks; return the names of the files and what has none."""
    workloads: dict[tuple[str, str], list[Finding]] = {}
    for f in findings:
        if f.is_at_risk:
            workloads.setdefault((f.namespace, str(f.workload)), []).append(f)
    written, skipped = [], []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for (namespace, workload), found in workloads.items():
            if found[0].workload.kind not in API_VERSIONS:
                skipped.append(f"{namespace}/{workload}")
                continue
            file = folder / f"{namespace}_{workload.replace('/', '_').lower()}.yaml"
            file.write_text(yaml.safe_dump(_policy(found), sort_keys=False), encoding="utf-8")
            written.append(file.name)
    except OSError as error:
        raise InvalidArgumentError(f"--write-policies: {error.filename or folder}: {error.strerror}") from error
    return written, skipped


def _policy(found: Sequence[Finding]) -> dict[str, Any]:
    workload, namespace = found[0].workload, found[0].namespace
    target = {
        "apiVersion": API_VERSIONS[workload.kind],
        "kind": workload.kind,
        "name": workload.name,
    }
    containers = sorted({f.container for f in found})
    return {
        "apiVersion": API_VERSION,
        "kind": "MemoryPolicy",
        "metadata": {"name": workload.name, "namespace": namespace},
        "spec": {"mode": "Observe", "targetRef": target, "containers": containers},
    }
