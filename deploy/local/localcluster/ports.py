"""Who listens where: asked before a component starts, and while it does."""

import errno
import socket
from pathlib import Path

from localcluster.components import Component, Listener
from localcluster.errors import ClusterError


def require_free(component: Component) -> None:
    for listener in component.listeners:
        if _taken(listener):
            raise ClusterError(
                f"port {listener.port} on {listener.address}, which {component.name} needs, is taken",
                f"see who has it with `ss -ltnp 'sport = :{listener.port}'` and stop that",
            )


def answers(component: Component) -> bool:
    if component.socket is not None:
        return connects(component.socket)
    return all(_connects(socket.AF_INET, (listener.address, listener.port)) for listener in component.listeners)


def connects(path: Path) -> bool:
    return _connects(socket.AF_UNIX, str(path))


def _taken(listener: Listener) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # What a server does: connections of a predecessor that linger must not count as a listener.
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


def _connects(family: socket.AddressFamily, address: str | tuple[str, int]) -> bool:
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(address)
        except OSError:
            return False
    return True
