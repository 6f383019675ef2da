"""The curve of one constant: a row for each value, or the known constants."""

from __future__ import annotations

import pytest

from tests.bench.detect import curve, sensitivity


class Inline:
    """Process pool that runs in this process."""

    def __init__(self, *_, **__):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def map(self, function, tasks):
        return map(function, tasks)


def test_each_value_has_a_row(monkeypatch, capsys):
    monkeypatch.setattr(curve, "ProcessPoolExecutor", Inline)
    monkeypatch.setattr(sensitivity, "figures_with", lambda constant, value, _: [value] * len(sensitivity.COLUMNS))
    curve.print_curve(0, 1, curve.DEFAULT)
    rows = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.strip()[:1].isdigit()]
    assert rows[: len(curve.FACTORS)] == [f"{curve.find(curve.DEFAULT).value * f:.4g}" for f in curve.FACTORS]


def test_an_unknown_constant_ends_with_the_known_ones():
    with pytest.raises(SystemExit, match=r"'lead_time\.NONE' must be one of: .*lead_time\.MAX_LEAD_WINDOWS"):
        curve.find("lead_time.NONE")
