"""The lines of the live timeline."""

from __future__ import annotations

from memroll_demo import event_lines, timeline
from tests.unit.demo.builders import successful_demo


def test_a_frame_shows_the_pod_with_the_highest_usage_of_each_service():
    assert timeline.format_frame(95, successful_demo()).splitlines() == [
        "── 1:35 " + "─" * 94,
        "leaky          ▓▓▓▓▓▓▓░░░  68%  leaks, limit in 41s   2 rolls  0 OOM    7000 requests  0 failed",
        "leaky-fleet x3 ▓▓▓▓▓▓▓▓▓░  92%  leaks                 5 rolls  0 OOM    7000 requests  0 failed",
        "highwater      ▓▓▓▓▓▓▓▓░░  85%  healthy               0 rolls  0 OOM    7000 requests  0 failed",
        "warmup         ▓▓▓▓▓▓▓░░░  67%  healthy               0 rolls  0 OOM    7000 requests  0 failed",
        "control        ░░░░░░░░░░   0%  no policy             0 rolls  2 OOM    7000 requests  214 failed",
    ]


def test_frames_and_events_fit_110_columns():
    services = successful_demo()
    services["leaky"].verdict = "leaks, limit in 10418s"
    services["leaky"].rolls = services["leaky"].oom_kills = 30
    services["control"].failures = 9999
    shown = [*timeline.format_frame(3599, services).splitlines(), timeline.format_event(3599, "x" * 300)]
    assert max(map(len, shown)) == 110
    assert shown[-1].startswith("59:59 ▶ xxx")
    assert shown[-1].endswith("x…")


def test_the_longest_line_of_a_roll_is_not_truncated():
    reason = "app: 106.6 MiB of 128.0 MiB (83%), +1601.7 MiB per hour, limit in 32s"
    line = event_lines.describe_roll_start({"spec": {"podName": "leaky-fleet-59ff69555d-9ngm6", "reason": reason}})
    shown = timeline.format_event(214, line)
    assert shown.endswith("limit in 32s")
    assert len(shown) <= 110


def test_colours_change_no_text():
    coloured = timeline.format_frame(95, successful_demo(), coloured=True)
    assert "\x1b[31m214 failed\x1b[0m" in coloured
    for code in ("1", "2", "31", "32", "33", "0"):
        coloured = coloured.replace(f"\x1b[{code}m", "")
    assert coloured == timeline.format_frame(95, successful_demo())
