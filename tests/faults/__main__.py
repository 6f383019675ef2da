"""`python -m tests.faults [CASE ...]`: run the cases on the local cluster, print a table, exit with 1 if one fails."""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from typing import TYPE_CHECKING

from memroll_demo import cluster as demo_cluster
from tests.faults.cases import FULL, SHORT
from tests.faults.invariants import FaultResult

if TYPE_CHECKING:
    from memroll_demo.cluster import DemoCluster
    from tests.faults.cases import FaultCase

USAGE_ERROR = 2


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(FULL)} (default: all)")
    parser.add_argument("--short", action="store_true", help="the short forms, as `make test` runs them")
    arguments = parser.parse_args()
    cases = SHORT if arguments.short else FULL
    unknown = set(arguments.cases) - set(cases)
    if unknown:
        parser.error(f"no such case: {', '.join(sorted(unknown))}")
    cluster = demo_cluster.current() if demo_cluster.is_current() else demo_cluster.status()
    if cluster is None or not cluster.local:
        print("python -m tests.faults: needs the local cluster (make cluster-up)", file=sys.stderr)
        return USAGE_ERROR
    results = [_run(name, cases[name], cluster) for name in arguments.cases or cases]
    failed = [r.case for r in results if r.errors]
    print(f"{len(results) - len(failed)} of {len(results)} cases passed" + "".join(f"\nFAILED {c}" for c in failed))
    return 1 if failed else 0


def _run(name: str, case: FaultCase, cluster: DemoCluster) -> FaultResult:
    started = time.monotonic()
    try:
        result = case(cluster)
    except Exception as error:  # noqa: BLE001 - the other cases still run
        result = FaultResult(name, errors=["".join(traceback.format_exception(error))])
    print(f"| {'FAILED' if result.errors else 'ok'} | {result.case} | {time.monotonic() - started:.0f} s |")
    for label, value in result.measurements.items():
        print(f"|  | {label} | {value} |")
    for message in result.errors:
        print(f"|  | ERROR | {message} |")
    sys.stdout.flush()
    return result


if __name__ == "__main__":
    sys.exit(main())
