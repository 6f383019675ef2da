"""`python -m tests.faults [CASE ...]`: run the cases on the local cluster, print a table, exit 1 when one fails."""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from typing import TYPE_CHECKING

from memroll_demo import site
from tests.faults.audit import Result
from tests.faults.cases import FULL, SHORT

if TYPE_CHECKING:
    from memroll_demo.site import Site
    from tests.faults.cases import Case

USAGE_ERROR = 2


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(FULL)} (default: all)")
    parser.add_argument("--short", action="store_true", help="the short forms, as `make test` runs them")
    arguments = parser.parse_args()
    known = SHORT if arguments.short else FULL
    unknown = set(arguments.cases) - set(known)
    if unknown:
        parser.error(f"no such case: {', '.join(sorted(unknown))}")
    where = site.current() if site.is_current() else site.status()
    if where is None or not where.local:
        print("python -m tests.faults: needs the local cluster (make cluster-up)", file=sys.stderr)
        return USAGE_ERROR
    results = [_run(name, known[name], where) for name in arguments.cases or known]
    failed = [r.case for r in results if r.troubles]
    print(f"{len(results) - len(failed)} of {len(results)} cases passed" + "".join(f"\nFAILED {c}" for c in failed))
    return 1 if failed else 0


def _run(name: str, case: Case, where: Site) -> Result:
    began = time.monotonic()
    try:
        result = case(where)
    except Exception as error:  # noqa: BLE001 - the next cases are run all the same
        result = Result(name, troubles=["".join(traceback.format_exception(error))])
    print(f"| {'FAILED' if result.troubles else 'ok'} | {result.case} | {time.monotonic() - began:.0f} s |")
    for what, figure in result.figures.items():
        print(f"|  | {what} | {figure} |")
    for trouble in result.troubles:
        print(f"|  | TROUBLE | {trouble} |")
    sys.stdout.flush()
    return result


if __name__ == "__main__":
    sys.exit(main())
