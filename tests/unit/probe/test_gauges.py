from __future__ import annotations

import re

from prometheus_client.parser import text_string_to_metric_families

from memroll_probe import gauges
from memroll_probe.lines import Held
from memroll_probe.tally import RISES
from memroll_probe.tracing import Look
from tests.unit.probe.driving import watch_with


def samples(watch):
    families = text_string_to_metric_families(gauges.text(watch))
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for f in families for s in f.samples}


def test_requests_in_flight_are_told_without_tracing():
    watch = watch_with()
    watch.traffic.request_begins()
    watch.traffic.request_begins()
    watch.traffic.request_ends()
    found = samples(watch)
    assert found["memroll_probe_requests_in_flight", ()] == 1
    assert found["memroll_probe_requests_total", ()] == 2


def test_growing_lines_and_types_have_labels_a_few_of_them_and_any_name_is_readable():
    watch = watch_with()
    lines = {(f'a"\\\n{n}.py', n): Held(1000 + n, 1, (), 0) for n in range(50)}
    watch.tracing.last = Look(0.0, lines, 1)
    for step in range(RISES + 1):
        watch.census.see({f'app."T{n}': 100 * n * step for n in range(50)})
    found = samples(watch)
    assert len([k for k in found if k[0] == "memroll_probe_growth_bytes"]) == gauges.MOST
    assert len([k for k in found if k[0] == "memroll_probe_type_growth_objects"]) == gauges.MOST
    assert max(v for k, v in found.items() if k[0] == "memroll_probe_growth_bytes") == 1049


def test_names_that_were_cut_to_the_same_are_one_sample():
    watch = watch_with()
    watch.tracing.last = Look(0.0, {("x" * 300 + tail, 1): Held(5, 1, (), 0) for tail in "ab"}, 1)
    assert [v for k, v in samples(watch).items() if k[0] == "memroll_probe_growth_bytes"] == [10]


def test_a_counter_of_requests_is_not_rounded():
    watch = watch_with()
    watch.traffic._total = 123_456_789_012
    assert re.search(r"^memroll_probe_requests_total 123456789012$", gauges.text(watch), re.MULTILINE)


def test_what_the_system_does_not_tell_is_not_a_number(monkeypatch):
    monkeypatch.setattr("memroll_probe.process.rss_bytes", lambda: None)
    assert ("memroll_probe_rss_bytes", ()) not in samples(watch_with())
