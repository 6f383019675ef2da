"""Do-not-disrupt annotations whose time is at the end of what can be represented."""

from __future__ import annotations

import pytest

from memroll.model.pods import DO_NOT_DISRUPT_ANNOTATION
from memroll.rolling.do_not_disrupt import do_not_disrupt
from tests.builders import NOW

LAST = "9999-12-31T23:59:59"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        pytest.param(f"{LAST}Z", f"until {LAST}Z", id="the last second of 9999 in UTC"),
        pytest.param(f"{LAST}-01:00", f": '{LAST}-01:00'", id="an hour later: it is no time in UTC"),
        pytest.param("0001-01-01T00:00:00+01:00", "", id="before the year 1 in UTC"),
    ],
)
@pytest.mark.parametrize("kind", ["pod", "namespace"])
def test_protection_until_a_time_out_of_range_is_no_error(kind, value, reason):
    marks = {"pod": {}, "namespace": {}} | {kind: {DO_NOT_DISRUPT_ANNOTATION: value}}
    expected = f"the {kind} is marked {DO_NOT_DISRUPT_ANNOTATION}{'' if reason[:1] == ':' else ' '}{reason}"
    assert do_not_disrupt(now=NOW, **marks) == (expected if reason else "")
