"""The summary and the figures of a demo, and how they are written."""

from __future__ import annotations

import json

import pytest

from memroll_demo import report
from memroll_demo.assertions import ExpectedLoad, check_services
from tests.unit.demo.builders import successful_demo


def test_the_figures_replace_those_of_an_earlier_run(tmp_path):
    path = tmp_path / "build" / "demo.json"
    path.parent.mkdir()
    path.write_text("of an earlier run")
    report.write(
        path,
        report.build_figures(
            successful_demo(),
            check_services(successful_demo(), ExpectedLoad(requests=7200, ran_to_end=True)),
            timings={"run_s": 360},
            duration_s=360,
        ),
    )
    read = json.loads(path.read_text())
    assert (read["passed"], read["duration_s"], read["timings"]) == (True, 360, {"run_s": 360})
    assert read["services"]["control"] == {
        "rolls": 0,
        "rolls_failed": 0,
        "oom_kills": 2,
        "requests": 7000,
        "failures": 214,
        "longest_outage_s": 13.2,
        "p99_ms": 12,
        "slowest_ms": 0,
        "failure_kinds": {"TimeoutError": 214},
    }
    assert [p.name for p in path.parent.iterdir()] == ["demo.json"]


def test_an_unwritable_content_leaves_the_old_file(tmp_path):
    path = tmp_path / "demo.json"
    path.write_text("of an earlier run")
    with pytest.raises(TypeError):
        report.write(path, {"passed": object()})
    assert path.read_text() == "of an earlier run"


def test_the_summary_lines_up():
    assert report.format_table(successful_demo()).splitlines() == [
        "service         rolls  OOM kills  requests  failed  longest outage",
        "─" * 66,
        "leaky               2          0      7000       0            none",
        "leaky-fleet         5          0      7000       0            none",
        "highwater           0          0      7000       0            none",
        "warmup              0          0      7000       0            none",
        "control             0          2      7000     214          13.2 s",
    ]
