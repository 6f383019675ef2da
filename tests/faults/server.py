"""The real API server, by the client certificate of the kubeconfig: what a proxy forwards to and what a case asks."""

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

    from tests.faults.background import Background

Json = dict[str, Any]
NOT_FOUND, CONFLICT = 404, 409


class RefusedError(AssertionError):
    """The API server's answer is not a success."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Json:
        """Return the JSON object, or an empty one for any other answer."""
        try:
            found = json.loads(self.body)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


class Server:
    """One session, used from the background's thread; the other methods block."""

    def __init__(self, background: Background, kubeconfig: str) -> None:
        self._background = background
        config = yaml.safe_load(Path(kubeconfig).read_text(encoding="utf-8"))
        self.url = str(config["clusters"][0]["cluster"]["server"]).rstrip("/")
        self._tls = _tls(config)
        self.session = background.run(self._open())

    async def _open(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(ssl=self._tls, limit=0)
        plain = {"Accept-Encoding": "identity"}  # what is passed on is not packed
        return aiohttp.ClientSession(connector=connector, headers=plain, timeout=aiohttp.ClientTimeout(60))

    def close(self) -> None:
        self._background.run(self.session.close())

    async def send(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        async with self.session.request(method, self.url + path, headers=headers, data=body or None) as answer:
            return Reply(answer.status, dict(answer.headers), await answer.read())

    def ask(self, method: str, path: str, body: Json | None = None, kind: str = "application/json") -> Json:
        """Send one request and return the object; raise RefusedError for what is not a success."""
        raw = b"" if body is None else json.dumps(body).encode()
        reply = self._background.run(self.send(method, path, {"Content-Type": kind}, raw))
        if reply.status >= 400:
            raise RefusedError(reply.status, str(reply.json().get("message")))
        return reply.json()

    def find(self, path: str) -> Json | None:
        try:
            return self.ask("GET", path)
        except RefusedError as refused:
            if refused.status == NOT_FOUND:
                return None
            raise

    def items(self, path: str) -> list[Json]:
        return list(self.ask("GET", path).get("items") or [])

    def create(self, *objects: Json) -> list[Json]:
        """Create objects of any of the kinds that the cases use."""
        return [self.ask("POST", path_of(o), o) for o in objects]


def path_of(obj: Json) -> str:
    """Return the path of the list that an object belongs to."""
    version, kind = obj["apiVersion"], obj["kind"].lower()
    plural = f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s"
    namespace = obj["metadata"].get("namespace")
    where = f"/namespaces/{namespace}" if namespace else ""
    return f"/{'api' if version == 'v1' else 'apis'}/{version}{where}/{plural}"


def _tls(config: Json) -> ssl.SSLContext | bool:
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    if not cluster["server"].startswith("https"):
        return False
    context = ssl.create_default_context(cadata=_decoded(cluster["certificate-authority-data"]))
    with tempfile.TemporaryDirectory() as folder:
        pair = Path(folder) / "pair.pem"
        pair.touch(mode=0o600)
        pair.write_text(_decoded(user["client-certificate-data"]) + _decoded(user["client-key-data"]), encoding="utf-8")
        context.load_cert_chain(pair)
    return context


def _decoded(text: str) -> str:
    return base64.b64decode(text).decode()
