"""The definitions of the four systems: marked source lines."""

from __future__ import annotations

import pytest

from memroll_demo.systems import SYSTEMS, SourceLine, leaking_line

DEPLOYMENTS = [deployment for system in SYSTEMS.values() for deployment in system.deployments]
LINE = SourceLine("langflow_like/components.py", 51)


@pytest.mark.parametrize("deployment", [d for d in DEPLOYMENTS if d.leak], ids=lambda d: d.name)
def test_one_line_of_each_system_is_marked_as_the_leak(deployment):
    line = leaking_line(deployment.leak)
    assert line.line > 0
    assert line.text


@pytest.mark.parametrize("file", ["langflow_like/components.py", "memroll_systems/langflow_like/components.py"])
def test_a_line_is_identified_by_any_part_of_its_path(file):
    assert LINE.is_at(file, 51)


@pytest.mark.parametrize(
    ("file", "line"), [("langflow_like/components.py", 50), ("like/components.py", 51), ("components.py", 51)]
)
def test_another_line_does_not_match(file, line):
    assert not LINE.is_at(file, line)
