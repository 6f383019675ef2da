from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from memroll.clients.prometheus.client import PrometheusProvider
from memroll.clients.prometheus.config import Connection, Connections
from tests.contract.prometheus.certificates import make_certificates
from tests.contract.prometheus.live import need_prometheus, need_prometheus_3
from tests.contract.prometheus.scripted import Exchange, Scripted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from memroll.clients.prometheus.session import Limits
    from tests.contract.prometheus.certificates import Certificates


class Opens(Protocol):
    def __call__(self, url: str, *, limits: Limits | None = None, **fields: Any) -> PrometheusProvider: ...


@pytest.fixture
def provider_of() -> Iterator[Opens]:
    """A provider whose connection `default` is the URL."""
    with contextlib.ExitStack() as stack:

        def make(url: str, *, limits: Limits | None = None, **fields: Any) -> PrometheusProvider:
            connection = Connection.model_validate({"url": url, "timeoutSeconds": 10.0, **fields})
            made = PrometheusProvider(Connections(connections={"default": connection}), limits)
            stack.callback(made.close)
            return made

        yield make


@pytest.fixture
def serving() -> Iterator[Callable[..., Scripted]]:
    """A server that gives these answers in turn."""
    with contextlib.ExitStack() as stack:

        def start(*script: Callable[[Exchange], None], **options: Any) -> Scripted:
            return stack.enter_context(Scripted(list(script), **options))

        yield start


@pytest.fixture(scope="module", params=[need_prometheus, need_prometheus_3], ids=["Debian's", "3"])
def program(request: pytest.FixtureRequest) -> str:
    """A real Prometheus: one of each kind there is, as 3 counts windows and steps in another way than 2."""
    return str(request.param())


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))
