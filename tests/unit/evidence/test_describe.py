"""Evidence as one Event message: grown lines come first, and missing sections are named."""

from __future__ import annotations

from memroll.api.evidence import Evidence
from memroll.clients.kube.event_recorder import truncate_message
from memroll.evidence.describe import describe_evidence
from memroll.reporting.event_builder import roll_step_events
from tests.builders import NOW, WORKLOAD_REF, policy, roll

GROWN = [{"file": f"app/{'x' * 190}.py"[:200], "line": 10**9, "bytes": 118 << 20} for _ in range(10)]
SERIES = {"container": "app", "begin": "2026-03-01T11:00:00Z", "points": [[0, 20 << 20], [3600, 110 << 20]]}
CAPTURED = {"capturedAt": "2026-03-01T12:00:00Z", "series": SERIES}


def found(**parts) -> Evidence:
    return Evidence.model_validate(CAPTURED | parts)


def test_the_line_that_grew_most_comes_first():
    grown = [{"file": "app/cache.py", "line": 42, "bytes": 118 << 20}]
    text = describe_evidence("leaky-abc", found(probe={"growth": grown}))
    assert text == "app/cache.py:42 +118.0 MiB; app went from 20.0 MiB to 110.0 MiB in 1h (evidence of pod leaky-abc)"


def test_missing_sections_are_named():
    text = describe_evidence("leaky-abc", found(missing=[{"section": "http", "reason": "status 500"}]))
    assert text.endswith("(evidence of pod leaky-abc); missing: http: status 500")


def test_the_longest_description_fits_into_an_event():
    missing = [{"section": "http", "reason": "w" * 256}] * 8
    assert (
        len(truncate_message(describe_evidence("p" * 253, found(probe={"growth": GROWN}, missing=missing))).encode())
        <= 1024
    )


def test_the_event_is_published_once_after_the_capture():
    known = {"workload": WORKLOAD_REF, "workloadUID": "d", "podUID": "uid-leaky-abc"}
    before = roll("Announced", **known)
    captured = roll("CapturingEvidence", evidence=CAPTURED, **known)
    later = roll("Replacing", evidence=CAPTURED, **known)
    events = list(roll_step_events(before.status, captured, policy()))
    assert {(e.reason.value, e.regarding.kind) for e in events} == {
        ("EvidenceCaptured", kind) for kind in ("Pod", "Deployment", "MemoryPolicy", "PodRoll")
    }
    assert list(roll_step_events(captured.status, later, policy())) == []


def test_empty_evidence_publishes_no_event():
    skipped = {"capturedAt": "2026-03-01T12:00:00Z", "missing": [{"section": "all", "reason": "skipped"}]}
    assert list(roll_step_events(roll("Announced").status, roll("Replacing", evidence=skipped), None)) == []
    assert Evidence.model_validate(skipped).captured_at == NOW
