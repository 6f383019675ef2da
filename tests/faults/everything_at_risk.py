"""memroll with an injected bug: every pod is at risk and due. Runs as a program instead of the operator."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from memroll import __main__ as memroll
from memroll.detection.assess import Assessor
from memroll.detection.assessment import Assessment
from memroll.detection.reasons import VerdictReason
from memroll.detection.verdict import ContainerVerdict, Verdict

if TYPE_CHECKING:
    from memroll.detection.assess import SampleReader


async def assess(assessor: Assessor, _: SampleReader) -> tuple[Assessment, ...]:
    """Report every container of every pod at risk, with no time left."""
    reason, message = VerdictReason.EXHAUSTING, "injected: everything is at risk"
    verdict = ContainerVerdict(Verdict.EXHAUSTING, reason, message, 2.0**20, None, 0.0, 0.0, due=True)
    return tuple(Assessment(w.pod, w.container, verdict) for w in assessor.containers)


if __name__ == "__main__":
    type.__setattr__(Assessor, "assess", assess)
    sys.exit(memroll.main())
