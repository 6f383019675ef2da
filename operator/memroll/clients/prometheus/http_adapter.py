"""HTTP adapter of a session: no retries of its own, a timeout for all response headers, a fixed TLS server name."""

from __future__ import annotations

import socket
from functools import partial
from typing import TYPE_CHECKING, Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, Retry
from urllib3.connection import HTTPConnection, HTTPSConnection

from memroll.clients.prometheus.timeout import closing_after

if TYPE_CHECKING:
    from urllib3 import HTTPResponse

NO_RETRY = Retry(total=0, read=False)
MAX_HEADERS_S = 300.0
"""Time limit for all headers of a response to a request without a timeout, in seconds; chosen by hand."""


class _HeaderTimeout(HTTPConnection):
    """Connection whose read timeout bounds all response headers together, not each received byte."""

    def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # as urllib3's own differs from http.client's
        limit_s = self.timeout if isinstance(self.timeout, (int, float)) else MAX_HEADERS_S
        # Not through the TLS layer: shutting that down would race with the thread that reads from it.
        close = partial(socket.socket.shutdown, self.sock, socket.SHUT_RDWR)
        with closing_after(close, limit_s):
            return super().getresponse()


class _TlsHeaderTimeout(_HeaderTimeout, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _HeaderTimeout  # type: ignore[mutable-override]  # the documented way to replace it


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsHeaderTimeout  # type: ignore[mutable-override]  # the same


class PrometheusHttpAdapter(HTTPAdapter):
    def __init__(self, server_name: str, connections: int) -> None:
        self._tls = {"server_hostname": server_name} if server_name else {}
        super().__init__(pool_connections=1, pool_maxsize=connections, max_retries=NO_RETRY)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **options: Any) -> None:  # noqa: FBT001, FBT002 - the base's signature
        super().init_poolmanager(connections, maxsize, block, **self._tls, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
