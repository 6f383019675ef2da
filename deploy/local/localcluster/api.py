"""The few questions the driver asks the API server, each client with its own certificate."""

import http.client
import json
import ssl
from dataclasses import dataclass
from typing import Any

from localcluster.errors import ClusterError
from localcluster.layout import NODE, Layout

_OK = 200
_CREATED = (201, 409)  # 409: it is there already


@dataclass(frozen=True)
class Api:
    layout: Layout
    client: str = "admin"
    seconds: float = 5

    def ready(self) -> bool:
        try:
            status, _ = self._request("GET", "/readyz", None)
        except OSError:
            return False
        return status == _OK

    def node_ready(self) -> bool:
        return self._ready_condition().get("status") == "True"

    def heartbeat(self) -> str:
        """When the kubelet last spoke for the node; empty when it never did."""
        return self._ready_condition().get("lastHeartbeatTime", "")

    def pods(self) -> list[dict[str, Any]]:
        # resourceVersion=0 is answered from the API server's memory.
        status, body = self._request("GET", "/api/v1/pods?resourceVersion=0", None)
        if status != _OK:
            raise ClusterError(f"the API server answers {status}: {body}")
        found: list[dict[str, Any]] = json.loads(body)["items"]
        return found

    def create(self, path: str, document: dict[str, object]) -> None:
        status, body = self._request("POST", path, json.dumps(document))
        if status not in _CREATED:
            raise ClusterError(f"the API server answers {status} to POST {path}: {body}", "look at its log")

    def _request(self, method: str, path: str, body: str | None) -> tuple[int, str]:
        pki, network = self.layout.pki, self.layout.network
        context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        context.load_cert_chain(pki / f"{self.client}.crt", pki / f"{self.client}.key")
        connection = http.client.HTTPSConnection(
            str(network.address), self.layout.ports.api, timeout=self.seconds, context=context
        )
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except http.client.HTTPException as error:
            raise ConnectionError(str(error)) from error
        finally:
            connection.close()

    def _ready_condition(self) -> dict[str, str]:
        try:
            status, body = self._request("GET", f"/api/v1/nodes/{NODE}", None)
        except OSError:
            return {}
        if status != _OK:
            return {}
        conditions: list[dict[str, str]] = json.loads(body).get("status", {}).get("conditions", [])
        return next((condition for condition in conditions if condition["type"] == "Ready"), {})
