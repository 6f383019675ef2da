"""Each number of the detector gets another value in every module that imports it, and its own value afterwards."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import memroll.detection
from memroll.detection import exhaustion, lead_time, prefilter, seasonality, trend, window
from tests.bench.detect import constants

FOUND, LEFT = constants.found()


def of(title: str) -> constants.Constant:
    return next(c for c in FOUND if f"{c.module}.{c.title}" == title)


def test_every_upper_case_number_of_the_detector_is_varied_or_has_a_reason():
    listed = {f"{c.module}.{c.name}" for c in FOUND} | {t.partition("[")[0] for t in LEFT}
    for file in Path(next(iter(memroll.detection.__path__))).glob("*.py"):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and _is_number(node.value):
                assert f"{file.stem}.{node.targets[0].id}" in listed


def _is_number(node: ast.expr) -> bool:
    is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
    return isinstance(node, ast.Constant | ast.BinOp) and not is_text


def test_a_constant_changes_in_the_modules_that_import_it():
    constant = of("prefilter.MIN_SAMPLES")
    with constants.varied(constant, 9):
        assert prefilter.MIN_SAMPLES == 9
    assert constant.value == prefilter.MIN_SAMPLES
    with constants.varied(of("lead_time.MAX_LEAD_WINDOWS"), 0.5):
        assert lead_time.MAX_LEAD_WINDOWS == exhaustion.MAX_LEAD_WINDOWS == 0.5
    assert lead_time.MAX_LEAD_WINDOWS == exhaustion.MAX_LEAD_WINDOWS == of("lead_time.MAX_LEAD_WINDOWS").value


def test_a_constant_of_the_same_name_in_another_module_does_not_change():
    before = window.LEVEL_BINS
    with constants.varied(of("growth_phase.LEVEL_BINS"), before + 7):
        assert before == window.LEVEL_BINS


def test_a_constant_is_restored_after_an_error():
    before = window.LEVEL_BINS
    with pytest.raises(ZeroDivisionError), constants.varied(of("window.LEVEL_BINS"), 0):
        1 / window.LEVEL_BINS
    assert before == window.LEVEL_BINS


def test_parts_of_tuples_and_of_dataclasses_are_varied_alone():
    ratios = seasonality.SCALED_DAY_SLOPE_RATIOS
    with constants.varied(of("seasonality.SCALED_DAY_SLOPE_RATIOS[1]"), 0.9):
        assert (ratios[0], 0.9) == seasonality.SCALED_DAY_SLOPE_RATIOS
    windows = prefilter.PREFILTER_WINDOWS
    with constants.varied(of("prefilter.PREFILTER_WINDOWS[1].min_slope_ratio"), 0.9):
        assert prefilter.PREFILTER_WINDOWS[1].min_slope_ratio == 0.9
        assert prefilter.PREFILTER_WINDOWS[0] == windows[0]
    assert windows == prefilter.PREFILTER_WINDOWS


@pytest.mark.parametrize(
    ("value", "others"), [(0.5, (0.4, 0.625)), (4, (3, 5)), (1, (1, 2)), (72, (58, 90)), (0.95, (0.9375, 0.96))]
)
def test_the_other_values_of_a_constant(value, others):
    assert constants.Constant("m", "N", (), value).others() == pytest.approx(others)


def test_another_value_clears_the_caches_of_the_detector():
    caches = [f for f in vars(trend).values() if hasattr(f, "cache_info")]
    assert caches
    with constants.varied(of("trend.Z_99_ONE_SIDED"), 2.0):
        assert all(f.cache_info().currsize == 0 for f in caches)


def test_constants_that_are_read_when_modules_are_imported_are_left_out(monkeypatch, tmp_path):
    (tmp_path / "m.py").write_text("A = 2.0\nB = A * 3\ndef f(x=B):\n    return A\nclass C:\n    y = D\n")
    monkeypatch.setattr(constants, "FOLDER", tmp_path)
    assert constants._used_at_import("m") == {"A", "B", "D"}
