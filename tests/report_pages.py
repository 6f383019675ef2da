"""Leak reports of the objects in `report_objects`, for tests and for the screenshot of the docs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from memroll.api.pod_roll import PodRoll
from memroll.api.policy import MemoryPolicy
from memroll.report.leaks import LeakReport, build_report
from tests import report_objects
from tests.builders import NOW


def leak_report(policies: Any = None, rolls: Any = None, back: timedelta = timedelta(days=30)) -> LeakReport:
    policies = report_objects.policies() if policies is None else policies
    rolls = report_objects.rolls() if rolls is None else rolls
    return build_report(map(MemoryPolicy.read, policies), map(PodRoll.read, rolls), NOW, back)
