"""Free ports of this machine."""

from __future__ import annotations

import socket


def free_address() -> str:
    """Return a loopback address with a port that nothing listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"
