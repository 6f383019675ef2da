"""The quick start: the leak of its service is suspected and rolled at the times that the page names."""

from __future__ import annotations

import json
import re

import pytest
import yaml
from click.testing import CliRunner

from memroll.api.quantity import parse_bytes
from memroll.cli.app import memroll
from tests.texts import ROOT

OBJECTS = list(yaml.safe_load_all((ROOT / "examples/quickstart/leaky.yaml").read_text(encoding="utf-8")))
PAGE = (ROOT / "docs/quickstart.md").read_text(encoding="utf-8")
(DEPLOYMENT,) = (o for o in OBJECTS if o["kind"] == "Deployment")
(POLICY,) = (o for o in OBJECTS if o["kind"] == "MemoryPolicy")
(CONTAINER,) = DEPLOYMENT["spec"]["template"]["spec"]["containers"]
SCRAPE_S = 15
"""Scrape interval that the page sets, in seconds."""
START_BYTES = 12 * 2**20
"""Memory of a Python that has just started, rounded up."""


def minutes_until(event: str) -> int:
    """Return the minutes after which the page promises an event."""
    (found,) = re.findall(rf"^\| (\d+) minutes \| {event}", PAGE, re.MULTILINE)
    return int(found)


@pytest.fixture(scope="module")
def replayed(tmp_path_factory):
    """Replay the policy over the memory of the service's program, scraped as the page sets it up."""
    folder = tmp_path_factory.mktemp("quickstart")
    (bytes_per_s,) = [2 ** int(n) for n in re.findall(r"2\*\*(\d+)", CONTAINER["args"][0])]
    limit = CONTAINER["resources"]["limits"]["memory"]
    ages_s = range(0, (parse_bytes(limit) - START_BYTES) // bytes_per_s + 1, SCRAPE_S)
    samples = "".join(f"{t},{START_BYTES + t * bytes_per_s}\n" for t in ages_s)
    (folder / "leaky.csv").write_text(f"t_s,bytes\n{samples}", encoding="utf-8")
    (folder / "MANIFEST.csv").write_text(f"name,limit_bytes\nleaky,{limit}\n", encoding="utf-8")
    (folder / "policy.yaml").write_text(yaml.safe_dump(POLICY), encoding="utf-8")
    options = ["--policy", str(folder / "policy.yaml"), "-o", "json", "--rules", "none", "--jobs", "1"]
    done = CliRunner().invoke(memroll, ["backtest", "--traces", str(folder), *options])
    assert done.exit_code == 0, done.output
    (trace,) = json.loads(done.stdout)["traces"]
    return trace | {"limit_s": ages_s[-1]}


@pytest.mark.parametrize(
    ("event", "key"),
    [("the Event `LeakSuspected`", "suspected_s"), ("a PodRoll", "first_roll_s"), ("nothing", "limit_s")],
)
def test_the_page_names_the_time_of_each_event(replayed, event, key):
    assert abs(replayed[key] / 60 - minutes_until(event)) < 1


def test_the_page_shows_the_policy_of_the_manifest():
    (shown,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert yaml.safe_load(shown) == POLICY


def test_the_page_sets_the_scrape_interval_that_is_replayed():
    assert f"server.global.scrape_interval={SCRAPE_S}s" in PAGE
