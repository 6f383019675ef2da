from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import ValidationError

from memroll.api.pod_roll import PodRoll
from tests.builders import policy, roll_json


def test_evidence_is_captured_by_default_without_a_request_to_the_pod():
    made = policy().spec.evidence
    assert (made.http, made.log_lines, made.timeout) == (None, 50, timedelta(seconds=10))
    assert PodRoll.read(roll_json()).spec.evidence == made


@pytest.mark.parametrize("path", ["/", "/debug/memory", "/a/b_c/d-e~f.json/"])
def test_valid_paths_of_reports(path):
    assert policy(evidence={"http": {"port": 80, "path": path}}).spec.evidence.http.path == path


@pytest.mark.parametrize(
    "evidence",
    [
        *({"http": {"port": 80, "path": path}} for path in (
            "", "a", "//a", "/a//b", "/..", "/a/../b", "/.git", "/a?b", "/a#b", "/a%2e", "/a b", "/a\r\nX: y",
            "/\u00e9", "/" + "a" * 256, "@evil/", "/a\\b",
        )),
        {"http": {"port": 0}},
        {"http": {"port": 65536}},
        {"http": {"port": "web"}},
        {"http": {}},
        {"logLines": 201},
        {"logLines": -1},
        {"timeout": "0s"},
        {"timeout": "61s"},
    ],
)  # fmt: skip
def test_an_invalid_evidence_section_is_refused(evidence):
    with pytest.raises(ValidationError):
        policy(evidence=evidence)
