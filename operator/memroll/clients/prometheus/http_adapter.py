"""The HTTP adapter under a session: no retries of its own, the head of an answer in time, a pinned TLS name."""

from __future__ import annotations

import socket
from functools import partial
from typing import TYPE_CHECKING, Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, Retry
from urllib3.connection import HTTPConnection, HTTPSConnection

from memroll.clients.prometheus.timeout import hanging_up

if TYPE_CHECKING:
    from urllib3 import HTTPResponse

NO_RETRY = Retry(total=0, read=False)
HEAD_S_MAX = 300.0


class _HeadInTime(HTTPConnection):
    """Takes the read timeout as the limit for the whole head of an answer, not for each of its bytes."""

    def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # as urllib3's own differs from http.client's
        limit_s = self.timeout if isinstance(self.timeout, (int, float)) else HEAD_S_MAX
        # Past the TLS layer on purpose: taking that down here would race with the thread that reads from it.
        hang_up = partial(socket.socket.shutdown, self.sock, socket.SHUT_RDWR)
        with hanging_up(hang_up, limit_s):
            return super().getresponse()


class _TlsHeadInTime(_HeadInTime, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _HeadInTime  # type: ignore[mutable-override]  # how urllib3 means it to be replaced


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsHeadInTime  # type: ignore[mutable-override]  # the same


class Adapter(HTTPAdapter):
    def __init__(self, server_name: str, connections: int) -> None:
        self._tls = {"server_hostname": server_name} if server_name else {}
        super().__init__(pool_connections=1, pool_maxsize=connections, max_retries=NO_RETRY)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **options: Any) -> None:  # noqa: ANN401, FBT001, FBT002 - the base's signature
        super().init_poolmanager(connections, maxsize, block, **self._tls, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
