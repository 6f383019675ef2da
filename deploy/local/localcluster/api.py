"""Client of the API server for the few requests of the driver, authenticated by a certificate."""

import http.client
import json
import ssl
from dataclasses import dataclass
from typing import Any

from localcluster.errors import ClusterError
from localcluster.paths import NODE, ClusterPaths

_OK = 200
_CREATED = (201, 409)  # 409: it exists


@dataclass(frozen=True)
class ApiClient:
    paths: ClusterPaths
    client: str = "admin"
    seconds: float = 5

    def is_ready(self) -> bool:
        try:
            status, _ = self._request("GET", "/readyz", None)
        except OSError:
            return False
        return status == _OK

    def is_node_ready(self) -> bool:
        return self._ready_condition().get("status") == "True"

    def last_heartbeat(self) -> str:
        """Return the time of the node's last heartbeat; empty if there was none."""
        return self._ready_condition().get("lastHeartbeatTime", "")

    def list_pods(self) -> list[dict[str, Any]]:
        # resourceVersion=0 is answered from the API server's memory.
        status, body = self._request("GET", "/api/v1/pods?resourceVersion=0", None)
        if status != _OK:
            raise ClusterError(f"the API server responds {status}: {body}")
        found: list[dict[str, Any]] = json.loads(body)["items"]
        return found

    def create(self, path: str, document: dict[str, object]) -> None:
        status, body = self._request("POST", path, json.dumps(document))
        if status not in _CREATED:
            raise ClusterError(f"the API server responds {status} to POST {path}: {body}", "see its log")

    def _request(self, method: str, path: str, body: str | None) -> tuple[int, str]:
        pki, network = self.paths.pki, self.paths.network
        context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        context.load_cert_chain(pki / f"{self.client}.crt", pki / f"{self.client}.key")
        connection = http.client.HTTPSConnection(
            str(network.address), self.paths.ports.api, timeout=self.seconds, context=context
        )
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, response.read().decode()
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
