"""Commands with the fake cluster and the fake Prometheus instead of real ones."""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, NamedTuple

import pytest

from memroll import clock
from memroll.cli import connection, prometheus_options, run
from tests.builders import at

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.scenario.simulation import Simulation


class Ended(NamedTuple):
    """Result of a command."""

    code: int
    out: str
    err: str


@pytest.fixture
def execute(capsys, monkeypatch) -> Callable[..., Ended]:
    """Return the function that runs a command on a simulation; the namespace of the kubeconfig is `demo`."""

    def execute(sim: Simulation, *arguments: str) -> Ended:
        @asynccontextmanager
        async def open_cluster(_):
            yield sim.cluster

        @contextmanager
        def open_prometheus(*_):
            yield sim.prometheus

        monkeypatch.setattr(connection, "open_cluster", open_cluster)
        monkeypatch.setattr(connection, "default_namespace", lambda _: "demo")
        monkeypatch.setattr(prometheus_options, "open_prometheus", open_prometheus)
        monkeypatch.setattr(clock, "now", lambda: at(sim.cluster.seconds))
        code = run(["memroll", *arguments])
        return Ended(code, *capsys.readouterr())

    return execute
