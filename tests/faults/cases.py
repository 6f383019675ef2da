"""All cases: in full for `make soak`, and in the short form that `make test` runs."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tests.faults import api_faults, killed, prometheus_faults, runaway, two_operators

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from memroll_demo.site import Site
    from tests.faults.audit import Result

    Case = Callable[[Site], Result]

FULL: Mapping[str, Case] = {
    "killed-at-each-write": killed.at_each_write,
    "killed-all-in-one-roll": partial(killed.at_each_write, one_roll=True),
    "killed-at-random": killed.at_random,
    "two-operators": partial(two_operators.paused, moments=("",) * 10),
    "two-operators-late-writes": partial(two_operators.paused, moments=two_operators.LATE),
    "two-operators-late-eviction": two_operators.late_eviction_of_a_vetoed_roll,
    "api-faults": api_faults.troubled,
    "lost-answers": api_faults.lost_answers,
    "lost-creation": api_faults.lost_creation,
    "prometheus-faults": partial(prometheus_faults.bad_data, by_slope=False),
    "prometheus-faults-by-slope": prometheus_faults.bad_data,
    "runaway": runaway.stopped,
}
SHORT: Mapping[str, Case] = {
    "killed-all-in-one-roll": partial(killed.at_each_write, points=killed.AROUND_THE_ACTS, one_roll=True),
    "killed-at-random": partial(killed.at_random, kills=4, apps=("a",)),
    "two-operators": partial(two_operators.paused, moments=("evict", "")),
    "api-faults": partial(api_faults.troubled, names=api_faults.SHORT),
    "lost-answers": api_faults.lost_answers,
    "lost-creation": api_faults.lost_creation,
    "prometheus-faults": partial(prometheus_faults.bad_data, faults=prometheus_faults.SHORT, by_slope=False),
    "runaway": runaway.stopped,
}
