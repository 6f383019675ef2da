"""The cases as tests: each in its short form, on the local cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.cases import SHORT

if TYPE_CHECKING:
    from memroll_demo.site import Site


def figures_of(cluster: Site, case: str) -> dict[str, object]:
    """Run a case; fail with its troubles, or return its figures."""
    if not cluster.local:
        pytest.skip("the operator runs beside the cluster, and the load comes from its node: needs the local one")
    result = SHORT[case](cluster)
    assert result.troubles == [], result.figures
    return result.figures
