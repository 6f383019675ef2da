"""Evidence as one event: what grew comes first, and what could not be had is said."""

from __future__ import annotations

from memroll.api.evidence import Evidence
from memroll.clients.kube.event_recorder import cut
from memroll.evidence.describe import in_words
from memroll.reporting.event_builder import of_roll_step
from tests.builders import NOW, WORKLOAD_REF, policy, roll

GROWN = [{"file": f"app/{'x' * 190}.py"[:200], "line": 10**9, "bytes": 118 << 20} for _ in range(10)]
SERIES = {"container": "app", "begin": "2026-03-01T11:00:00Z", "points": [[0, 20 << 20], [3600, 110 << 20]]}
CAPTURED = {"capturedAt": "2026-03-01T12:00:00Z", "series": SERIES}


def found(**parts) -> Evidence:
    return Evidence.model_validate(CAPTURED | parts)


def test_the_line_that_grew_most_comes_first():
    grown = [{"file": "app/cache.py", "line": 42, "bytes": 118 << 20}]
    said = in_words("leaky-abc", found(probe={"growth": grown}))
    assert said == "app/cache.py:42 +118.0 MiB; app went from 20.0 MiB to 110.0 MiB in 1h (evidence of pod leaky-abc)"


def test_what_could_not_be_had_is_said():
    said = in_words("leaky-abc", found(missing=[{"part": "http", "reason": "status 500"}]))
    assert said.endswith("(evidence of pod leaky-abc); not had: http: status 500")


def test_the_longest_of_all_is_still_an_event():
    missing = [{"part": "http", "reason": "w" * 256}] * 8
    assert len(cut(in_words("p" * 253, found(probe={"growth": GROWN}, missing=missing))).encode()) <= 1024


def test_it_is_told_once_when_it_is_there():
    known = {"workload": WORKLOAD_REF, "workloadUID": "d", "podUID": "uid-leaky-abc"}
    before = roll("Announced", **known)
    captured = roll("CapturingEvidence", evidence=CAPTURED, **known)
    later = roll("Replacing", evidence=CAPTURED, **known)
    told = list(of_roll_step(before.status, captured, policy()))
    assert {(e.reason.value, e.regarding.kind) for e in told} == {
        ("EvidenceCaptured", kind) for kind in ("Pod", "Deployment", "MemoryPolicy", "PodRoll")
    }
    assert list(of_roll_step(captured.status, later, policy())) == []


def test_nothing_is_told_of_nothing():
    skipped = {"capturedAt": "2026-03-01T12:00:00Z", "missing": [{"part": "all", "reason": "skipped"}]}
    assert list(of_roll_step(roll("Announced").status, roll("Replacing", evidence=skipped), None)) == []
    assert Evidence.model_validate(skipped).captured_at == NOW
