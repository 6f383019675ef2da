"""Client of the real API server with the kubeconfig's certificate, for the proxy and for the cases."""

from __future__ import annotations

import base64
import json
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.faults.background_loop import BackgroundLoop

Json = dict[str, Any]
NOT_FOUND, CONFLICT = 404, 409


class ApiStatusError(AssertionError):
    """The API server returned an error status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


@dataclass(frozen=True)
class RawResponse:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Json:
        """Return the JSON object, or an empty one for any other body."""
        try:
            found = json.loads(self.body)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


class ApiServerClient:
    """One session, which belongs to the background loop; all methods but `send` block."""

    def __init__(self, background: BackgroundLoop, kubeconfig: str) -> None:
        self._background = background
        config = yaml.safe_load(Path(kubeconfig).read_text(encoding="utf-8"))
        self.url = str(config["clusters"][0]["cluster"]["server"]).rstrip("/")
        self._tls = _tls_context(config)
        self.session = background.run(self._open())

    async def _open(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(ssl=self._tls, limit=0)
        headers = {"Accept-Encoding": "identity"}  # forwarded bodies are not compressed
        return aiohttp.ClientSession(connector=connector, headers=headers, timeout=aiohttp.ClientTimeout(60))

    def close(self) -> None:
        self._background.run(self.session.close())

    async def send(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> RawResponse:
        async with self.session.request(method, self.url + path, headers=headers, data=body or None) as response:
            return RawResponse(response.status, dict(response.headers), await response.read())

    def request(self, method: str, path: str, body: Json | None = None, kind: str = "application/json") -> Json:
        """Send one request and return the object; raise ApiStatusError for an error status."""
        raw = b"" if body is None else json.dumps(body).encode()
        reply = self._background.run(self.send(method, path, {"Content-Type": kind}, raw))
        if reply.status >= 400:
            raise ApiStatusError(reply.status, str(reply.json().get("message")))
        return reply.json()

    def find(self, path: str) -> Json | None:
        try:
            return self.request("GET", path)
        except ApiStatusError as error:
            if error.status == NOT_FOUND:
                return None
            raise

    def list_items(self, path: str) -> list[Json]:
        return list(self.request("GET", path).get("items") or [])

    def create(self, *objects: Json) -> list[Json]:
        """Create objects of any kind that the cases use."""
        return [self.request("POST", list_path(o), o) for o in objects]


def list_path(obj: Json) -> str:
    """Return the path of the list that an object belongs to."""
    version, kind = obj["apiVersion"], obj["kind"].lower()
    plural = f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s"
    namespace = obj["metadata"].get("namespace")
    scope = f"/namespaces/{namespace}" if namespace else ""
    return f"/{'api' if version == 'v1' else 'apis'}/{version}{scope}/{plural}"


def _tls_context(config: Json) -> ssl.SSLContext | bool:
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    if not cluster["server"].startswith("https"):
        return False
    context = ssl.create_default_context(cadata=_decode(cluster["certificate-authority-data"]))
    with tempfile.TemporaryDirectory() as folder:
        pair = Path(folder) / "pair.pem"
        pair.touch(mode=0o600)
        pair.write_text(_decode(user["client-certificate-data"]) + _decode(user["client-key-data"]), encoding="utf-8")
        context.load_cert_chain(pair)
    return context


def _decode(text: str) -> str:
    return base64.b64decode(text).decode()
