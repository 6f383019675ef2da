"""The zone of a page's times is a name of the time zone database, and anything else an error of one line."""

from __future__ import annotations

import pytest

from memroll.cli import run
from tests.html_page import checked
from tests.unit.backtest.histories import LIMIT, csv_of, folder, line

EPOCH_S = 1_772_323_200


@pytest.mark.parametrize(("arguments", "zone"), [([], "UTC"), (["--time-zone", "Asia/Tokyo"], "JST")])
def test_the_page_has_the_times_of_the_zone(arguments, zone, tmp_path, capsys):
    times, values = line(2)
    folder(tmp_path, f"name,limit_bytes\na,{LIMIT}\n", a=csv_of(times + EPOCH_S, values))
    file = tmp_path / "r.html"
    assert run(["memroll", "backtest", "--traces", str(tmp_path), "--report", str(file), *arguments]) == 0
    assert f"({zone})" in checked(file.read_text()).text


@pytest.mark.parametrize("name", ["Nowhere/Atlantis", "../../etc/passwd", "/etc/localtime", "Europe", "", "\x00"])
def test_a_name_that_is_no_zone_is_an_error(name, capsys):
    assert run(["memroll", "report", "--time-zone", name]) == 2
    error = capsys.readouterr().err
    assert "must be the name of a time zone such as Europe/Berlin" in error
    assert error.count("\n") == 1
