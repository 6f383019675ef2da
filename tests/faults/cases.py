"""All cases: in full for `make soak`, and in short forms for `make test`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tests.faults import api_faults, prometheus_faults, rate_limit, sigkill, two_operators

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from memroll_demo.cluster import DemoCluster
    from tests.faults.invariants import FaultResult

    FaultCase = Callable[[DemoCluster], FaultResult]

FULL: Mapping[str, FaultCase] = {
    "killed-at-each-write": sigkill.kill_at_each_write,
    "killed-all-in-one-roll": partial(sigkill.kill_at_each_write, one_roll=True),
    "killed-at-random": sigkill.kill_at_random,
    "two-operators": partial(two_operators.pause_leader, moments=("",) * 10),
    "two-operators-late-writes": partial(two_operators.pause_leader, moments=two_operators.LATE_WRITES),
    "two-operators-late-eviction": two_operators.delay_eviction_of_canceled_roll,
    "api-faults": api_faults.roll_under_faults,
    "lost-answers": api_faults.lose_responses,
    "lost-creation": api_faults.lose_creation_response,
    "prometheus-faults": partial(prometheus_faults.roll_with_bad_data, by_slope=False),
    "prometheus-faults-by-slope": prometheus_faults.roll_with_bad_data,
    "runaway": rate_limit.check_rate_limit,
}
SHORT: Mapping[str, FaultCase] = {
    "killed-all-in-one-roll": partial(sigkill.kill_at_each_write, points=sigkill.POINTS_AROUND_ACTIONS, one_roll=True),
    "killed-at-random": partial(sigkill.kill_at_random, kills=4, apps=("a",)),
    "two-operators": partial(two_operators.pause_leader, moments=("evict", "")),
    "api-faults": partial(api_faults.roll_under_faults, names=api_faults.SHORT),
    "lost-answers": api_faults.lose_responses,
    "lost-creation": api_faults.lose_creation_response,
    "prometheus-faults": partial(prometheus_faults.roll_with_bad_data, faults=prometheus_faults.SHORT, by_slope=False),
    "runaway": rate_limit.check_rate_limit,
}
