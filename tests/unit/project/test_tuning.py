"""The page about tuning: each of its windows rolls a leak of that length before its limit."""

from __future__ import annotations

import json
import re

import pytest
import yaml
from click.testing import CliRunner

from memroll.cli.app import memroll
from tests.texts import ROOT

PAGE = (ROOT / "docs/tuning.md").read_text(encoding="utf-8")
LIFETIMES_S = {"days to weeks": 36 * 3600, "several hours": 5 * 3600, "one hour": 3600, "a quarter of an hour": 960}
"""Time from the start to the limit of the leak that stands for a row, in seconds."""
UNITS_S = {"s": 1, "min": 60}
LIMIT_BYTES = 2**30
START_BYTES = LIMIT_BYTES // 8


def rows() -> list[list[str]]:
    """Return the cells of the table of windows."""
    table = PAGE.partition("| Time from start to limit |")[2].partition("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def policy_of(cells: list[str]) -> str:
    window, warm_up, for_, interval = (re.findall(r"`(\w+)`", cell)[0] for cell in cells[1:5])
    spec = {"interval": interval, "growth": {"window": window, "warmUp": warm_up, "for": for_}}
    return yaml.safe_dump({"kind": "MemoryPolicy", "spec": spec})


def test_all_rows_are_replayed():
    names = [re.sub(r" \(.*", "", cells[0]) for cells in rows()]
    assert names == list(LIFETIMES_S)


@pytest.mark.parametrize("cells", rows(), ids=lambda cells: cells[0])
def test_a_leak_is_rolled_with_the_window_of_its_row(tmp_path, cells):
    lifetime_s = LIFETIMES_S[re.sub(r" \(.*", "", cells[0])]
    number, unit = re.findall(r"(\d+) (s|min)", cells[5])[0]
    growth = (LIMIT_BYTES - START_BYTES) / lifetime_s
    ages_s = range(0, lifetime_s + 1, int(number) * UNITS_S[unit])
    samples = "".join(f"{age},{START_BYTES + int(age * growth)}\n" for age in ages_s)
    (tmp_path / "leak.csv").write_text(f"t_s,bytes\n{samples}", encoding="utf-8")
    (tmp_path / "MANIFEST.csv").write_text(f"name,limit_bytes\nleak,{LIMIT_BYTES}\n", encoding="utf-8")
    (tmp_path / "policy.yaml").write_text(policy_of(cells), encoding="utf-8")
    options = ["--policy", str(tmp_path / "policy.yaml"), "-o", "json", "--rules", "none", "--jobs", "1"]
    done = CliRunner().invoke(memroll, ["backtest", "--traces", str(tmp_path), *options])
    assert done.exit_code == 0, done.output
    (trace,) = json.loads(done.stdout)["traces"]
    assert trace["suspected_s"] is not None
    assert trace["first_roll_s"] is not None
    assert lifetime_s / 2 < trace["first_roll_s"] < lifetime_s - 60
