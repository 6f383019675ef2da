from __future__ import annotations

import logging
from typing import Any

import pytest

from memroll_demo.systems import leaking_line
from memroll_systems.langflow_like.cache import ComponentCache
from memroll_systems.langflow_like.flows import FLOWS, Run, run_flow
from memroll_systems.langflow_like.snapshots import SnapshotComparison


@pytest.mark.usefixtures("traced")
async def test_the_comparison_of_snapshots_names_the_leak(caplog):
    cache, calls = ComponentCache(weak=False), iter(range(1000))

    async def app(*_: Any) -> None:
        number = next(calls)
        await run_flow(FLOWS["assistant"], Run(f"run-{number}", "session", f"question {number}"), cache)

    compared = SnapshotComparison(app, every=20)
    with caplog.at_level(logging.WARNING):
        for _ in range(39):
            await compared({"type": "http"}, None, None)  # type: ignore[arg-type] # the app above takes anything
        assert caplog.messages == [], "one snapshot can't be compared"
        await compared({"type": "http"}, None, None)  # type: ignore[arg-type] # the same
    line = leaking_line("langflow_like/components.py")
    assert caplog.messages[0].startswith("grown in 20 requests: ")
    assert f"/{line} +" in caplog.messages[0]
