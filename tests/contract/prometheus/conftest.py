from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from memroll.clients.prometheus.client import PrometheusClient
from memroll.clients.prometheus.config import Connection, Connections
from tests.contract.prometheus.certificates import make_certificates
from tests.contract.prometheus.programs import need_prometheus, need_prometheus_3
from tests.contract.prometheus.scripted_server import Exchange, ScriptedServer
from tests.contract.prometheus.stores import STORES, Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from memroll.clients.prometheus.session import Limits
    from tests.contract.prometheus.certificates import Certificates


class Opens(Protocol):
    def __call__(self, url: str, *, limits: Limits | None = None, **fields: Any) -> PrometheusClient: ...


@pytest.fixture
def client_of() -> Iterator[Opens]:
    """Return a client whose connection `default` has the URL."""
    with contextlib.ExitStack() as stack:

        def make(url: str, *, limits: Limits | None = None, **fields: Any) -> PrometheusClient:
            connection = Connection.model_validate({"url": url, "timeoutSeconds": 10.0, **fields})
            made = PrometheusClient(Connections(connections={"default": connection}), limits)
            stack.callback(made.close)
            return made

        yield make


@pytest.fixture
def serving() -> Iterator[Callable[..., ScriptedServer]]:
    """Return a server that sends these responses in turn."""
    with contextlib.ExitStack() as stack:

        def start(*script: Callable[[Exchange], None], **options: Any) -> ScriptedServer:
            return stack.enter_context(ScriptedServer(list(script), **options))

        yield start


@pytest.fixture(scope="module", params=[need_prometheus, need_prometheus_3], ids=["Debian's", "3"])
def program(request: pytest.FixtureRequest) -> str:
    """Return a real Prometheus, once version 2 and once 3, which differ in the bounds of windows and steps."""
    return str(request.param())


@pytest.fixture(scope="module", params=STORES, ids=lambda store: store.name)
def store(request: pytest.FixtureRequest) -> Store:
    """Return each kind of server. VictoriaMetrics differs in rates, in the last digit, and in its messages."""
    chosen: Store = request.param
    chosen.need()
    return chosen


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))
