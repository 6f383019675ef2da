from __future__ import annotations

import re

from prometheus_client.parser import text_string_to_metric_families

from memroll_probe import gauges
from memroll_probe.counter import MIN_RISES
from memroll_probe.lines import LineMemory
from memroll_probe.tracing import TraceSnapshot
from tests.unit.probe.harness import state_with


def samples(state):
    families = text_string_to_metric_families(gauges.render(state))
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for f in families for s in f.samples}


def test_requests_in_flight_are_exported_without_tracing():
    state = state_with()
    state.requests.begin_request()
    state.requests.begin_request()
    state.requests.end_request()
    found = samples(state)
    assert found["memroll_probe_requests_in_flight", ()] == 1
    assert found["memroll_probe_requests_total", ()] == 2


def test_the_number_of_labels_is_limited_and_any_name_is_escaped():
    state = state_with()
    lines = {(f'a"\\\n{n}.py', n): LineMemory(1000 + n, 1, (), 0) for n in range(50)}
    state.tracer.last_snapshot = TraceSnapshot(0.0, lines, 1)
    for step in range(MIN_RISES + 1):
        state.object_counts.add({f'app."T{n}': 100 * n * step for n in range(50)})
    found = samples(state)
    assert len([k for k in found if k[0] == "memroll_probe_growth_bytes"]) == gauges.MAX_SERIES
    assert len([k for k in found if k[0] == "memroll_probe_type_growth_objects"]) == gauges.MAX_SERIES
    assert max(v for k, v in found.items() if k[0] == "memroll_probe_growth_bytes") == 1049


def test_names_that_are_equal_after_truncation_are_one_series():
    state = state_with()
    state.tracer.last_snapshot = TraceSnapshot(
        0.0, {("x" * 300 + tail, 1): LineMemory(5, 1, (), 0) for tail in "ab"}, 1
    )
    assert [v for k, v in samples(state).items() if k[0] == "memroll_probe_growth_bytes"] == [10]


def test_a_counter_of_requests_is_not_rounded():
    state = state_with()
    state.requests._total = 123_456_789_012
    assert re.search(r"^memroll_probe_requests_total 123456789012$", gauges.render(state), re.MULTILINE)


def test_a_figure_that_the_system_does_not_report_is_left_out(monkeypatch):
    monkeypatch.setattr("memroll_probe.process.rss_bytes", lambda: None)
    assert ("memroll_probe_rss_bytes", ()) not in samples(state_with())
