"""Reading a folder of traces: its content, and every way in which it can be invalid."""

from __future__ import annotations

import pytest

from memroll.backtest import csv_traces
from memroll.errors import TerminalError
from tests.unit.backtest.histories import folder as make

MANIFEST = "name,limit_bytes\na,1000\n"
SAMPLES = "t_s,bytes\n0,10\n60,20\n"


def test_every_column_is_read(tmp_path):
    manifest = "name,limit_bytes,workload,label,onset_s,else\na,1000.0,web,leak,30,x\nb,,,,,\n"
    full = "t_s,bytes,working_set_bytes,load\n5,10,15,0.5\n65,20,,\n125,30,990,0.7\n"
    a, b = csv_traces.read(make(tmp_path, manifest, a=full, b=SAMPLES))
    assert (a.name, a.workload, a.label, a.onset_s, a.history.limit_bytes) == ("a", "web", "leak", 30.0, 1000)
    assert a.history.rss.values.tolist() == [10, 20, 30]
    assert (a.history.working_set.times_s.tolist(), a.history.working_set.values.tolist()) == ([5, 125], [15, 990])
    assert a.history.load.values.tolist() == [0.5, 0.7]
    assert (a.start_s, a.end_s, a.days) == (5, 125, 120 / 86400)
    assert (b.workload, b.label, b.onset_s, b.history.limit_bytes, b.oom_s) == ("", "", None, None, None)


def test_the_working_set_falls_back_to_bytes(tmp_path):
    (a,) = csv_traces.read(make(tmp_path, MANIFEST, a=SAMPLES))
    assert a.history.working_set.values.tolist() == [10, 20]
    assert len(a.history.load) == 0


def test_times_may_be_iso_8601_and_memory_quantities(tmp_path):
    text = "t_s;bytes;working_set_bytes\n2026-03-01T12:00:00Z;10Mi;1.5 GiB\n2026-03-01 12:01:00;20Mi;\n\n"
    (a,) = csv_traces.read(make(tmp_path, "name,limit_bytes\na,2Gi\n\n", a=text))
    assert a.history.limit_bytes == 2 * 2**30
    assert a.history.rss.times_s.tolist() == [1772366400, 1772366460]
    assert a.history.rss.values.tolist() == [10 * 2**20, 20 * 2**20]
    assert a.history.working_set.values.tolist() == [1.5 * 2**30]


@pytest.mark.parametrize(("last", "oom_s"), [(990, 60.0), (1000, 60.0), (989, None)])
def test_a_trace_that_ends_within_one_percent_of_its_limit_was_killed(tmp_path, last, oom_s):
    (a,) = csv_traces.read(make(tmp_path, MANIFEST, a=f"t_s,bytes\n0,10\n60,{last}\n"))
    assert a.oom_s == oom_s


def test_cache_and_swap_are_read(tmp_path):
    text = "t_s,bytes,working_set_bytes,cache_bytes,swap_bytes\n0,10,40,25,7\n60,11,,26,\n120,12,42,,9\n"
    (a,) = csv_traces.read(make(tmp_path, MANIFEST, a=text))
    cache, swap = a.history.active_file, a.history.swap
    assert (cache.times_s.tolist(), cache.values.tolist()) == ([0, 60], [25, 26])
    assert (swap.times_s.tolist(), swap.values.tolist()) == ([0, 120], [7, 9])


def test_without_their_columns_cache_and_swap_are_unknown(tmp_path):
    (a,) = csv_traces.read(make(tmp_path, MANIFEST, a=SAMPLES))
    assert (len(a.history.active_file), len(a.history.swap), a.interval_s, a.sample_ratio) == (0, 0, None, None)


@pytest.mark.parametrize("excess", [0, csv_traces.MAX_CACHE_EXCESS_BYTES])
def test_the_cache_may_exceed_the_working_set_by_what_the_kernel_counts_at_once(tmp_path, excess):
    text = f"t_s,bytes,working_set_bytes,cache_bytes\n0,10,40,{40 + excess}\n"
    (a,) = csv_traces.read(make(tmp_path, MANIFEST, a=text))
    assert a.history.active_file.values.tolist() == [40]


@pytest.mark.parametrize(
    ("columns", "cells", "interval_s"),
    [
        ("interval_s", "15", 15),
        ("sampling_s", "60.0", 60),
        ("interval_s,sampling_s", "15,15.0", 15),
        ("interval_s,sampling_s", ",30", 30),
        ("interval_s", "", None),
    ],
)
def test_the_scrape_interval_has_two_names(tmp_path, columns, cells, interval_s):
    (a,) = csv_traces.read(make(tmp_path, f"name,limit_bytes,{columns}\na,1000,{cells}\n", a=SAMPLES))
    assert a.interval_s == interval_s


def test_the_interval_shows_how_many_scrapes_are_missing(tmp_path):
    manifest = "name,limit_bytes,interval_s\na,1000,30\n"
    (a,) = csv_traces.read(make(tmp_path, manifest, a="t_s,bytes\n0,1\n30,1\n90,1\n"))
    assert a.sample_ratio == 0.75


BAD_MANIFESTS = {
    "name,limit_bytes,interval_s\na,1000,often\n": ["line 2, interval_s: 'often'", "above 0, or empty"],
    "name,limit_bytes,sampling_s\na,1000,0\n": ["line 2, sampling_s: '0'", "above 0, or empty"],
    "name,limit_bytes,interval_s,sampling_s\na,1000,15,60\n": ["line 2, sampling_s: '60'", "15 as in interval_s"],
    "name,other\na,1\n": ["line 1", "'limit_bytes'", "name, other"],
    "": ["line 1", "none"],
    "name,limit_bytes\n": ["no traces"],
    "name,limit_bytes\na,1000,5\n": ["line 2", "3 cells, must be 2"],
    "name,limit_bytes\n,1000\n": ["line 2, name: ''", "must be the name of a file"],
    "name,limit_bytes\na.csv,1000\n": ["line 2, name: 'a.csv'", "without .csv"],
    "name,limit_bytes\n../a,1000\n": ["line 2, name: '../a'", "must be the name of a file"],
    "name,limit_bytes\na,1000\na,1000\n": ["line 3, name: 'a'", "no other line"],
    "name,limit_bytes\na,lots\n": ["line 2, limit_bytes: 'lots'", "or empty: no limit"],
    "name,limit_bytes\na,0\n": ["line 2, limit_bytes: '0'", "above 0"],
    "name,limit_bytes\na,nan\n": ["line 2, limit_bytes: 'nan'"],
    "name,limit_bytes,onset_s\na,1000,noon\n": ["line 2, onset_s: 'noon'", "seconds"],
    "name,name,limit_bytes\na,a,1000\n": ["line 1", "two columns of one name"],
}


@pytest.mark.parametrize("text", BAD_MANIFESTS)
def test_a_bad_manifest_is_named_by_line_field_value_and_what_is_allowed(tmp_path, text):
    with pytest.raises(TerminalError) as caught:
        csv_traces.read(make(tmp_path, text, a=SAMPLES))
    for part in ("MANIFEST.csv", *BAD_MANIFESTS[text]):
        assert part in caught.value.message


BAD_TRACES = {
    "": ["line 1", "'bytes'", "'t_s'"],
    "t_s,value\n0,1\n": ["line 1", "'bytes'", "t_s, value"],
    "t_s,bytes\n": ["no samples"],
    "t_s,bytes\n0,1\n\n60,1\n": ["line 3", "0 cells, must be 2"],
    "t_s,bytes\n1772366400000,1\n1772366460000,2\n": ["the times are milliseconds, must be seconds"],
    "t_s,bytes\n0,1\n60,12 parsecs\n": ["line 3, bytes: '12 parsecs'", "at least 0"],
    "t_s,bytes\n0,1\nsoon,2\n": ["line 3, t_s: 'soon'", "a number of seconds"],
    "t_s,bytes\n0,1\n0,2\n": ["line 3, t_s: '0'", "above the one of the line before"],
    "t_s,bytes\n0,1\n60,-2\n": ["line 3, bytes: '-2'", "at least 0"],
    "t_s,bytes\n0,1\n60,\n": ["line 3, bytes: ''", "at least 0"],
    "t_s,bytes\n0,1\n60,inf\n": ["line 3, bytes: 'inf'"],
    "t_s,bytes,working_set_bytes\n0,1,1\n60,2,x\n": ["line 3, working_set_bytes: 'x'", "or empty"],
    "t_s,bytes,working_set_bytes,cache_bytes\n0,1,,\n60,2,5,9000000\n": [
        "line 3, cache_bytes: '9000000'",
        "at most 5, the working_set_bytes",
    ],
    "t_s,bytes,cache_bytes\n0,1,1\n": ["line 1", "cache_bytes is a part of working_set_bytes"],
    "t_s,bytes,working_set_bytes,cache_bytes\n0,1,1,-1\n": ["line 2, cache_bytes: '-1'", "or empty"],
    "t_s,bytes,swap_bytes\n0,1,x\n": ["line 2, swap_bytes: 'x'", "or empty"],
    "t_s,bytes,load\n0,1,1\n60,2,-1\n": ["line 3, load: '-1'", "or empty"],
}


@pytest.mark.parametrize("text", BAD_TRACES)
def test_a_bad_trace_is_named_by_line_field_value_and_what_is_allowed(tmp_path, text):
    with pytest.raises(TerminalError) as caught:
        csv_traces.read(make(tmp_path, MANIFEST, a=text))
    for part in ("a.csv", *BAD_TRACES[text]):
        assert part in caught.value.message


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(TerminalError, match=r"a\.csv: No such file"):
        csv_traces.read(make(tmp_path, MANIFEST))
    with pytest.raises(TerminalError, match="nowhere: no such file or folder"):
        csv_traces.read(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(TerminalError, match=r"has neither MANIFEST\.csv nor a file of Prometheus"):
        csv_traces.read(tmp_path / "empty")


def test_a_file_that_is_not_text_is_rejected(tmp_path):
    make(tmp_path, MANIFEST)
    (tmp_path / "a.csv").write_bytes(b"t_s,bytes\n\xff,1\n")
    with pytest.raises(TerminalError, match=r"a\.csv: not CSV in UTF-8"):
        csv_traces.read(tmp_path)
