"""Checks ports and sockets: that they are free before a component starts, and whether it listens afterwards."""

import errno
import socket
from pathlib import Path

from localcluster.components import Component, Listener
from localcluster.errors import ClusterError


def require_free(component: Component) -> None:
    for listener in component.listeners:
        if _is_taken(listener):
            raise ClusterError(
                f"port {listener.port} on {listener.address}, which {component.name} needs, is taken",
                f"find its process with `ss -ltnp 'sport = :{listener.port}'` and stop it",
            )


def is_listening(component: Component) -> bool:
    if component.socket is not None:
        return can_connect(component.socket)
    return all(_can_connect(socket.AF_INET, (listener.address, listener.port)) for listener in component.listeners)


def can_connect(path: Path) -> bool:
    return _can_connect(socket.AF_UNIX, str(path))


def _is_taken(listener: Listener) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As a server does: lingering connections of a predecessor must not count as a listener.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((listener.address, listener.port))
            probe.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return True
            raise ClusterError(
                f"cannot listen on {listener.address}:{listener.port}: {error.strerror}", "run `down`, then `up`"
            ) from error
    return False


def _can_connect(family: socket.AddressFamily, address: str | tuple[str, int]) -> bool:
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(address)
        except OSError:
            return False
    return True
