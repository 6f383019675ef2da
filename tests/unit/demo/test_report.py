from __future__ import annotations

import json
from typing import Any

import pytest

from memroll_demo import news, report, timeline
from memroll_demo.facts import Service

FULL = report.Load(requests_wanted=7200, ran=True)


def good() -> dict[str, Service]:
    return {
        "leaky": Service(requests=7000, rolls=2, rolls_begun=2, shares=[0.68], verdict="leaks, limit in 41s"),
        "leaky-fleet": Service(requests=7000, rolls=5, rolls_begun=5, shares=[0.4, 0.92, 0.1], verdict="leaks"),
        "highwater": Service(requests=7000, shares=[0.85], verdict="healthy"),
        "warmup": Service(requests=7000, shares=[0.67], verdict="healthy"),
        "control": Service(
            requests=7000, failures=214, oom_kills=2, longest_outage_s=13.2, kinds={"TimeoutError": 214}, p99_ms=12
        ),
    }


def test_a_good_run_passes():
    found = report.assertions(good(), FULL)
    assert [a.name for a in found if not a.ok] == []
    assert len(found) == 9


BAD: list[Any] = [
    pytest.param("leaky", {"rolls": 1, "rolls_failed": 1}, "leaky was rolled at least twice", "1 rolls, 1 failed",
                 id="too few rolls"),
    pytest.param("leaky-fleet", {"oom_kills": 1}, "leaky-fleet was never OOM-killed", "1 OOM kills", id="an OOM kill"),
    pytest.param("leaky", {"failures": 3, "kinds": {"TimeoutError": 2, "EHOSTUNREACH": 1}},
                 "no request to leaky failed", "3 of 7000 failed: 1 EHOSTUNREACH, 2 TimeoutError", id="a lost request"),
    pytest.param("leaky", {"requests": 100}, "no request to leaky failed",
                 "0 of 100 failed; at least 5040 are needed to tell", id="hardly any request"),
    pytest.param("highwater", {"rolls_begun": 1}, "highwater was never rolled", "1 rolls",
                 id="an innocent one touched, though not rolled"),
    pytest.param("warmup", {"rolls": 1, "rolls_begun": 1}, "warmup was never rolled", "1 rolls",
                 id="an innocent one rolled"),
    pytest.param("control", {"oom_kills": 0}, "control, without a policy, was OOM-killed", "0 OOM kills",
                 id="nothing to compare with"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "change", "assertion", "detail"), BAD)
def test_a_broken_promise_is_named_with_its_numbers(name, change, assertion, detail):
    services = good()
    for field, value in change.items():
        setattr(services[name], field, value)
    assert [(a.name, a.detail) for a in report.assertions(services, FULL) if not a.ok] == [(assertion, detail)]


def test_a_load_that_ended_early_proves_nothing():
    found = report.assertions(good(), report.Load(requests_wanted=7200, ran=False))
    assert [a.detail for a in found if not a.ok] == ["0 of 7000 failed; the load ended early"] * 2


def test_a_small_demo_asserts_only_what_played():
    found = report.assertions({"leaky": good()["leaky"]}, FULL, rolls_least=1)
    assert [a.name for a in found] == [
        "leaky was rolled at least once",
        "leaky was never OOM-killed",
        "no request to leaky failed",
    ]


def test_the_figures_are_written_whole(tmp_path):
    path = tmp_path / "build" / "demo.json"
    path.parent.mkdir()
    path.write_text("of an earlier run")
    report.write(path, report.figures(good(), report.assertions(good(), FULL), timings={"run_s": 360}, duration_s=360))
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


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path):
    path = tmp_path / "demo.json"
    path.write_text("of an earlier run")
    with pytest.raises(TypeError):
        report.write(path, {"passed": object()})
    assert path.read_text() == "of an earlier run"


def test_the_summary_lines_up():
    assert report.table(good()).splitlines() == [
        "service         rolls  OOM kills  requests  failed  longest outage",
        "─" * 66,
        "leaky               2          0      7000       0            none",
        "leaky-fleet         5          0      7000       0            none",
        "highwater           0          0      7000       0            none",
        "warmup              0          0      7000       0            none",
        "control             0          2      7000     214          13.2 s",
    ]


def test_a_frame_shows_the_fullest_pod_of_each_service():
    assert timeline.frame(95, good()).splitlines() == [
        "── 1:35 " + "─" * 94,
        "leaky          ▓▓▓▓▓▓▓░░░  68%  leaks, limit in 41s   2 rolls  0 OOM    7000 requests  0 failed",
        "leaky-fleet x3 ▓▓▓▓▓▓▓▓▓░  92%  leaks                 5 rolls  0 OOM    7000 requests  0 failed",
        "highwater      ▓▓▓▓▓▓▓▓░░  85%  healthy               0 rolls  0 OOM    7000 requests  0 failed",
        "warmup         ▓▓▓▓▓▓▓░░░  67%  healthy               0 rolls  0 OOM    7000 requests  0 failed",
        "control        ░░░░░░░░░░   0%  no policy             0 rolls  2 OOM    7000 requests  214 failed",
    ]


def test_a_frame_and_its_news_fit_110_columns():
    services = good()
    services["leaky"].verdict = "leaks, limit in 10418s"
    services["leaky"].rolls = services["leaky"].oom_kills = 30
    services["control"].failures = 9999
    shown = [*timeline.frame(3599, services).splitlines(), timeline.happened(3599, "x" * 300)]
    assert max(map(len, shown)) == 110
    assert shown[-1].startswith("59:59 ▶ xxx")
    assert shown[-1].endswith("x…")


def test_the_longest_news_of_a_roll_are_not_cut():
    reason = "app: 106.6 MiB of 128.0 MiB (83%), +1601.7 MiB per hour, limit in 32s"
    told = news.roll_announced({"spec": {"podName": "leaky-fleet-59ff69555d-9ngm6", "reason": reason}})
    shown = timeline.happened(214, told)
    assert shown.endswith("limit in 32s")
    assert len(shown) <= 110


def test_colours_only_colour():
    coloured = timeline.frame(95, good(), coloured=True)
    assert "\x1b[31m214 failed\x1b[0m" in coloured
    for code in ("1", "2", "31", "32", "33", "0"):
        coloured = coloured.replace(f"\x1b[{code}m", "")
    assert coloured == timeline.frame(95, good())
