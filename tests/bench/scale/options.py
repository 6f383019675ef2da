"""Arguments of the benchmark."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

PODS_PER_POLICY = 40
POLICIES_PER_NAMESPACE = 5
PODS_PER_DEPLOYMENT = 10


@dataclass(frozen=True)
class Options:
    """Size of the fleet, its share of leaking pods, and the time for which the operator is measured."""

    size: int = 5000
    suspects_ratio: float = 0.1
    rolls: int = 0
    one_policy: bool = False
    interval_s: int = 300
    intervals: int = 2
    scrape_s: int = 30
    edits: int = 10
    memory: str = "none"
    peer: str = ""
    json_file: Path | None = None

    @property
    def pods_per_namespace(self) -> int:
        return self.size if self.one_policy else PODS_PER_POLICY * POLICIES_PER_NAMESPACE

    @property
    def pods_per_policy(self) -> int:
        return self.size if self.one_policy else PODS_PER_POLICY

    @property
    def max_sweep_s(self) -> int:
        """Maximum time in seconds for the first reconcile of all policies: the bar of a Monday morning."""
        return 2 * self.interval_s

    @property
    def ahead_s(self) -> int:
        """Time in seconds after the start of Prometheus for which samples are written ahead."""
        return 1800 + self.max_sweep_s + self.intervals * self.interval_s


def parse(arguments: Sequence[str] | None = None) -> Options:
    parser = argparse.ArgumentParser(prog="bench-scale", description=__doc__)
    parser.add_argument("--size", type=_count, default=Options.size, help="pods, of two containers each")
    parser.add_argument("--suspects", type=float, default=10.0, metavar="PERCENT", help="share of pods that leak")
    parser.add_argument("--monday", action="store_true", help="all pods leak")
    parser.add_argument("--rolls", type=int, default=Options.rolls, help="finished PodRolls")
    parser.add_argument("--one-policy", action="store_true", help="one policy over all pods, in one namespace")
    parser.add_argument("--interval", type=int, default=Options.interval_s, metavar="SECONDS")
    parser.add_argument("--intervals", type=_count, default=Options.intervals, help="measured intervals")
    parser.add_argument("--scrape", type=_count, default=Options.scrape_s, metavar="SECONDS")
    parser.add_argument("--edits", type=int, default=Options.edits, help="policies that are edited meanwhile")
    parser.add_argument("--memory", default="none", help="limit of a control group: chart, none or a number of MiB")
    parser.add_argument("--peer", choices=["vpa"], default="", help="measure another controller on the same fleet")
    parser.add_argument("--json", type=Path, help="file for the figures")
    given = parser.parse_args(arguments)
    if not 0 <= given.suspects <= 100:
        parser.error(f"--suspects is {given.suspects:g}: give a percentage from 0 to 100")
    return Options(
        size=given.size,
        suspects_ratio=1.0 if given.monday else given.suspects / 100,
        rolls=given.rolls,
        one_policy=given.one_policy,
        interval_s=given.interval,
        intervals=given.intervals,
        scrape_s=given.scrape,
        edits=given.edits,
        memory=given.memory,
        peer=given.peer,
        json_file=given.json,
    )


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not a positive number")
    return number
