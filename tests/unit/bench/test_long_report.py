"""The tables of the second round's sets: rows, the JSON output, and one small set from end to end."""

from __future__ import annotations

import json

from tests.bench.detect.long_report import LongReport, rows_of
from tests.bench.detect.long_sets import LongSet
from tests.bench.detect.outcome import FIGURES
from tests.bench.detect.sets import case_of, rng_of
from tests.bench.detect.singles import single
from tests.bench.detect.tables import Tables, write_json
from tests.unit.bench.test_outcome import HARMLESS, LEAK


def two(seed):
    for kind in ("steady", "flat"):
        yield case_of(single(kind, rng_of(seed)), "two", kind)


def test_a_set_is_replayed_and_printed(capsys, tmp_path):
    report = LongReport()
    report.add(LongSet("two", two, (1, 1, 1)), range(4, 6), every=6, jobs=1)
    printed = capsys.readouterr().out
    assert "evaluated every 30 min" in printed
    assert report.tables.figures["two"]["all leaks"]["saved"] == 1.0
    assert report.tables.figures["two"]["all harmless"]["rolled/1000"] == 0.0
    assert report.tables.figures["two"]["all harmless"]["saved"] is None
    write_json(tmp_path / "figures.json", {"set": "design"}, report.tables)
    written = json.loads((tmp_path / "figures.json").read_text())
    assert written["tables"]["two"] == report.tables.figures["two"]
    assert written["set"] == "design"


def test_rows_are_kinds_then_variants_then_all():
    def of(outcome, kind):
        return outcome.__class__(**{f: getattr(outcome, f) for f in outcome.__slots__} | {"kind": kind})

    some = [of(LEAK, "a, cache known"), of(LEAK, "a, cache unknown"), of(HARMLESS, "b")]
    rows = {title: len(found) for title, found in rows_of(some)}
    assert rows == {
        "  a, cache known": 1, "  a, cache unknown": 1, "  b": 1,
        "all cache known": 1, "all cache unknown": 1, "all harmless": 1, "all leaks": 2,
    }  # fmt: skip


def test_a_row_has_a_cell_for_each_column(capsys):
    tables = Tables()
    tables.begin("t", FIGURES)
    tables.line("nothing", [])
    head, row = capsys.readouterr().out.splitlines()[-2:]
    assert len(head) == len(row)
    assert row.split()[2:] == ["-"] * len(FIGURES)
