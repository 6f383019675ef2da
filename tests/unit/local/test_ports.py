import socket
from collections.abc import Iterator

import pytest

from localcluster import ports, supervisor
from localcluster.components import Component, Listener
from localcluster.errors import ClusterError
from localcluster.paths import ClusterPaths


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


def component(port: int) -> Component:
    return Component("etcd", ("/bin/true",), (Listener("127.0.0.1", port),))


def test_a_taken_port_is_an_error_with_its_component_and_a_remedy(taken: int) -> None:
    with pytest.raises(ClusterError) as caught:
        ports.require_free(component(taken))
    assert str(caught.value) == (
        f"port {taken} on 127.0.0.1, which etcd needs, is taken; "
        f"find its process with `ss -ltnp 'sport = :{taken}'` and stop it"
    )


def test_a_component_is_not_started_when_its_port_is_taken(paths: ClusterPaths, taken: int) -> None:
    with pytest.raises(ClusterError, match="is taken"):
        supervisor.start(paths, component(taken))
    assert supervisor.find_running(paths, "etcd") is None


def test_a_free_port_is_free_and_has_no_listener(taken: int) -> None:
    assert ports.is_listening(component(taken))
    with socket.create_server(("127.0.0.1", 0)) as server:
        free = int(server.getsockname()[1])
    ports.require_free(component(free))
    assert not ports.is_listening(component(free))


def test_a_port_taken_on_every_address_is_taken_on_ours() -> None:
    with socket.create_server(("0.0.0.0", 0)) as server, pytest.raises(ClusterError, match="is taken"):
        ports.require_free(component(int(server.getsockname()[1])))


def test_an_address_this_machine_does_not_have_is_an_error() -> None:
    elsewhere = Component("kubelet", ("/bin/true",), (Listener("192.0.2.77", 10250),))
    with pytest.raises(ClusterError, match=r"cannot listen on 192\.0\.2\.77:10250: .*; run `down`, then `up`"):
        ports.require_free(elsewhere)
