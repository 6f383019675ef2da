"""One container judged again and again, each time on what was known by then."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from memroll.detection.prefilter import suspects
from memroll.detection.verdict import Breach, Told, Verdict, judge, told

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memroll.backtest.trace import Trace
    from memroll.detection.container_history import Rule, Subject

SCREENED = "neither grows nor stands near its limit"


@dataclass(frozen=True, slots=True)
class Moment:
    at_s: float
    verdict: Verdict

    @property
    def words(self) -> str:
        return f"{self.verdict.code}: {self.verdict.message}"


@dataclass(frozen=True, slots=True)
class Found:
    """The first time of each; None for what never was."""

    suspected: Moment | None = None
    confirmed: Moment | None = None
    acted: Moment | None = None
    last: Moment | None = None
    """The last judgement; None when the last look was not worth one."""

    @property
    def whole(self) -> bool:
        return None not in (self.suspected, self.confirmed, self.acted)

    @property
    def reason(self) -> str:
        """The action's words, or why the last look led to none."""
        moment = self.acted or self.last
        return SCREENED if moment is None else moment.words

    def with_(self, moment: Moment) -> Found:
        said = told(moment.verdict)
        acts = isinstance(moment.verdict, Breach) and moment.verdict.due
        return replace(
            self,
            suspected=self.suspected or (moment if said is not Told.NOTHING else None),
            confirmed=self.confirmed or (moment if said is Told.CONFIRMED else None),
            acted=self.acted or (moment if acts else None),
        )


def replay(trace: Trace, rule: Rule, peers: Sequence[Subject]) -> Found:
    """Judge at each interval until everything is known; only looks that the screen would pass on."""
    found, moment = Found(), None
    looks_s = trace.looks_s(rule.interval_s)
    worth = suspects(trace.subject, rule, looks_s)
    for at_s in looks_s[worth].tolist():
        moment = Moment(at_s, judge(trace.subject, rule, at_s, peers))
        found = found.with_(moment)
        if found.whole:
            return found
    return replace(found, last=moment if worth.size and worth[-1] else None)
