"""Soak test of rolls on the real cluster: `make soak`, described in docs/soak.md.

Prints one table and exits with 1 if any case failed. `--only NAME` runs the cases whose names begin so, `--rolls N`
sets the number of rolls in each cell of the matrix, `--at-once N` the number of concurrent cases.
"""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from memroll_demo import cluster as demo_cluster
from tests.soak import (
    autoscaled,
    broken_replacements,
    competing_rolls,
    constraints,
    disturbances,
    drains,
    fleets,
    garbage,
    hash_services,
    no_room,
    rollouts,
    stuck_pods,
    surge_matrix,
    tenants,
    uninstall,
)
from tests.soak.cases import CaseResult, SoakCase, run_case
from tests.soak.kubectl_proxy import KubectlProxy
from tests.soak.load import THREAD_LAG
from tests.soak.roll_scenario import RollScenario

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memroll_demo.cluster import DemoCluster

RELEASE = "memroll-soak"
IMAGE = "localhost/memroll:soak"
AT_ONCE = 3
"""Default number of concurrent cases. On two cores, more would leave too little CPU for the services."""


def main(arguments: Sequence[str]) -> int:
    options = parse_arguments(arguments)
    if demo_cluster.is_current():
        print("the load comes from the node itself: the soak test needs the local cluster", file=sys.stderr)
        return 2
    cases = [c for c in all_cases(IMAGE) if c.name.startswith(tuple(options.only or [""]))]
    if not cases:
        print(f"the cases are {', '.join(c.name for c in all_cases(IMAGE))}", file=sys.stderr)
        return 2
    cluster = demo_cluster.status() or demo_cluster.boot()
    image = cluster.build_operator_image(IMAGE)
    started = time.monotonic()
    watched = [namespace for c in cases if c.watched for namespace in namespaces_of(c)]
    needs_rollouts = any(c.rollouts for c in cases)
    try:
        if needs_rollouts:
            rollouts.start_controller()
        if watched:
            cluster.install(RELEASE, RELEASE, image, watched, "--set", "restart.enabled=true")
        with KubectlProxy(cluster) as kube:
            results = SoakRun(cluster, kube, options).run_cases(cases)
    finally:
        if not options.keep:
            cluster.uninstall(RELEASE, RELEASE)
            namespaces = [n for c in cases for n in namespaces_of(c)]  # those that an interrupt has left
            cluster.kubectl("delete", "namespace", *namespaces, "--ignore-not-found", "--wait=false")
        if needs_rollouts:
            rollouts.stop_controller(cluster)
    print_table(results, time.monotonic() - started)
    return 1 if any(o.errors for o in results) else 0


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument(
        "--only", action="append", metavar="NAME", help="run the cases whose names begin so; repeatable"
    )
    parser.add_argument("--rolls", type=int, help=f"rolls in each cell of the matrix (default {surge_matrix.ROLLS})")
    parser.add_argument("--at-once", type=int, default=AT_ONCE, help=f"number of concurrent cases (default {AT_ONCE})")
    parser.add_argument("--keep", action="store_true", help="keep the operator and the namespaces of failed cases")
    return parser.parse_args(arguments)


def all_cases(image: str) -> list[SoakCase]:
    modules = (
        surge_matrix,
        broken_replacements,
        disturbances,
        garbage,
        drains,
        stuck_pods,
        no_room,
        competing_rolls,
        autoscaled,
        constraints,
        hash_services,
        rollouts,
        tenants,
    )
    cases = [case for module in modules for case in module.CASES]
    longest = fleets.fleet_case(image)  # it begins first, so that it does not run alone at the end
    return [longest, *cases, uninstall.uninstall_case(image), stuck_pods.uninstall_case(image)]


def namespace_of(case: SoakCase) -> str:
    return f"{RELEASE}-{case.name}"


def namespaces_of(case: SoakCase) -> list[str]:
    return [namespace_of(case), *(f"{namespace_of(case)}-{suffix}" for suffix in case.further_namespaces)]


@dataclass(frozen=True)
class SoakRun:
    """Runs cases: first some at a time, then one after the other those that change the node."""

    cluster: DemoCluster
    kube: KubectlProxy
    options: argparse.Namespace

    def run_cases(self, cases: Sequence[SoakCase]) -> list[CaseResult]:
        with ThreadPoolExecutor(self.options.at_once) as pool:
            results = list(pool.map(self._run_one, [c for c in cases if not c.alone]))
        return results + [self._run_one(c) for c in cases if c.alone]

    def _run_one(self, case: SoakCase) -> CaseResult:
        scenario = RollScenario(self.cluster, self.kube, namespace_of(case), self.cluster.service_image)
        try:
            scenario.create_namespace()
            result = run_case(case, scenario, self.options.rolls)
        except Exception as error:  # noqa: BLE001 - an error in a case is a line of the table, and the other cases continue
            result = CaseResult(case.name, 0.0, errors=[f"{type(error).__name__}: {error}"])
        finally:
            scenario.stop_load()
        if result.errors and self.options.keep:
            print(f"kept: {scenario.namespace}", file=sys.stderr)
        else:
            scenario.delete_namespace()
        print(f"{time.strftime('%H:%M:%S')} {case.name}: {result.summary}, {result.seconds:.0f} s", file=sys.stderr)
        return result


def print_table(results: Sequence[CaseResult], seconds: float) -> None:
    print(f"\n{'case':<30}{'rolls':>6}{'requests':>10}{'failed':>8}{'OOM kills':>11}{'orphan':>7}{'s':>6}  result")
    for o in results:
        counts = f"{o.rolls:>6}{o.requests:>10}{len(o.failures):>8}{o.oom_kills:>11}{len(o.orphaned_pods):>7}"
        print(f"{o.case:<30}{counts}{o.seconds:>6.0f}  {o.summary}")
    if any(o.reasons for o in results):
        print("\nReasons of rolls that did not succeed:")
    for o in results:
        for reason in o.reasons:
            print(f"  {o.case}: {reason}")
    for o in results:
        for error in o.errors:
            print(f"! {o.case}: {error}")
    print(f"\n{seconds:.0f} s; the threads of the load ran at most {THREAD_LAG.max_lag_s * 1000:.0f} ms late")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
