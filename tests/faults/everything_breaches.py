"""memroll with a bug that is injected: every pod breaches and is due. Run as a program, in the operator's place."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from memroll import __main__ as memroll
from memroll.detection.assessment import Assessment
from memroll.detection.verdict import Breach, Code
from memroll.reconcile import policy

if TYPE_CHECKING:
    from memroll.detection.assess import Prometheus, Watch


async def assess(watch: Watch, _: Prometheus, *__: object, **___: object) -> tuple[Assessment, ...]:
    """Call every container of every pod breaching, with no time left."""
    verdict = Breach(Code.EXHAUSTING, "injected: everything breaches", None, 2.0**20, 0.0, 0.0, due=True)
    return tuple(Assessment(target, container, verdict) for target, container in watch.pairs())


if __name__ == "__main__":
    vars(policy)["assess"] = assess  # where the pass looks it up
    sys.exit(memroll.main())
