"""The rows of the promise, in full, on the real cluster: `make soak`.

Prints one table and exits with 1 if any case failed. `--only NAME` plays the cases whose name begins so, `--rolls N`
sets how many rolls the matrix makes, `--at-once N` how many cases are played at the same time.
"""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from memroll_demo import site
from tests.soak import broken, disturbed, draining, matrix, uninstalled
from tests.soak.kube import Kube
from tests.soak.load import HEART
from tests.soak.outcome import Case, Outcome, play
from tests.soak.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memroll_demo.site import Site

RELEASE = "memroll-soak"
IMAGE = "localhost/memroll:soak"
AT_ONCE = 3
"""Three matrices, their loads and the node itself keep two cores busy, not starved."""


def main(arguments: Sequence[str]) -> int:
    options = parsed(arguments)
    if site.is_current():
        print("the load comes from the node itself: the soak needs the local cluster", file=sys.stderr)
        return 2
    cases = [c for c in every_case(IMAGE) if c.name.startswith(tuple(options.only or [""]))]
    if not cases:
        print(f"the cases are {', '.join(c.name for c in every_case(IMAGE))}", file=sys.stderr)
        return 2
    cluster = site.status() or site.boot()
    image = cluster.operator_image(IMAGE)
    began = time.monotonic()
    watched = [namespace_of(c) for c in cases if c.name != uninstalled.NAME]
    try:
        if watched:
            cluster.install(RELEASE, RELEASE, image, watched)
        with Kube(cluster) as kube:
            outcomes = Soak(cluster, kube, options).play(cases)
    finally:
        if not options.keep:
            cluster.uninstall(RELEASE, RELEASE)
            namespaces = [namespace_of(c) for c in cases]  # those that an interrupt left
            cluster.kubectl("delete", "namespace", *namespaces, "--ignore-not-found", "--wait=false")
    show(outcomes, time.monotonic() - began)
    return 1 if any(o.faults for o in outcomes) else 0


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument(
        "--only", action="append", metavar="NAME", help="play the cases whose name begins so; repeatable"
    )
    parser.add_argument("--rolls", type=int, help=f"rolls per cell of the matrix (default {matrix.ROLLS})")
    parser.add_argument("--at-once", type=int, default=AT_ONCE, help=f"cases at a time (default {AT_ONCE})")
    parser.add_argument("--keep", action="store_true", help="leave the operator and the namespaces of failed cases")
    return parser.parse_args(arguments)


def every_case(image: str) -> list[Case]:
    return [*matrix.CASES, *broken.CASES, *disturbed.CASES, *draining.CASES, uninstalled.uninstalled(image)]


def namespace_of(case: Case) -> str:
    return f"{RELEASE}-{case.name}"


@dataclass(frozen=True)
class Soak:
    """Plays cases: those that share the node peacefully some at a time, the others one after the other."""

    site: Site
    kube: Kube
    options: argparse.Namespace

    def play(self, cases: Sequence[Case]) -> list[Outcome]:
        with ThreadPoolExecutor(self.options.at_once) as pool:
            outcomes = list(pool.map(self._one, [c for c in cases if not c.alone]))
        return outcomes + [self._one(c) for c in cases if c.alone]

    def _one(self, case: Case) -> Outcome:
        stage = Stage(self.site, self.kube, namespace_of(case), self.site.service_image)
        try:
            stage.open()
            outcome = play(case, stage, self.options.rolls)
        except Exception as error:  # noqa: BLE001 - a case that breaks is a line of the table, and the others go on
            outcome = Outcome(case.name, 0.0, faults=[f"{type(error).__name__}: {error}"])
        finally:
            stage.unload()
        if outcome.faults and self.options.keep:
            print(f"kept: {stage.namespace}", file=sys.stderr)
        else:
            stage.close()
        print(f"{time.strftime('%H:%M:%S')} {case.name}: {outcome.result}, {outcome.seconds:.0f} s", file=sys.stderr)
        return outcome


def show(outcomes: Sequence[Outcome], seconds: float) -> None:
    print(f"\n{'case':<20}{'rolls':>6}{'requests':>10}{'failed':>8}{'OOM kills':>11}{'stray':>7}{'s':>6}  result")
    for o in outcomes:
        numbers = (
            f"{o.rolls:>6}{o.requests:>10}{len(o.failures):>8}{o.oom_kills:>11}{len(o.strays):>7}{o.seconds:>6.0f}"
        )
        print(f"{o.case:<20}{numbers}  {o.result}")
    if any(o.reasons for o in outcomes):
        print("\nWhy rolls ended that did not succeed:")
    for o in outcomes:
        for reason in o.reasons:
            print(f"  {o.case}: {reason}")
    for o in outcomes:
        for fault in o.faults:
            print(f"! {o.case}: {fault}")
    print(f"\n{seconds:.0f} s; the load's own threads ran at most {HEART.worst_s * 1000:.0f} ms late")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
