"""Short forms of the cases, as end-to-end tests on the local cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.cases import SHORT

if TYPE_CHECKING:
    from memroll_demo.cluster import DemoCluster


def run_short_case(cluster: DemoCluster, case: str) -> dict[str, object]:
    """Run a case; fail if it has errors, else return its measurements."""
    if not cluster.local:
        pytest.skip("operator and load run on the node: needs the local cluster")
    result = SHORT[case](cluster)
    assert result.errors == [], result.measurements
    return result.measurements
