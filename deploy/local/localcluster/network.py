"""Creates and removes the node's bridge, and the route that keeps service traffic on this machine."""

import json
from ipaddress import IPv4Network
from typing import Any

from localcluster.errors import ClusterError
from localcluster.paths import Network
from localcluster.run import run, succeeds


def ensure(network: Network) -> None:
    """Create bridge, address and route. Idempotent."""
    require_unused(network, routes())
    if not _exists(network.bridge):
        run(["ip", "link", "add", network.bridge, "type", "bridge"])
    # A bridge without a hardware address of its own takes the lowest one of its ports: it would change
    # whenever a pod is created or deleted.
    run(["ip", "link", "set", network.bridge, "address", _hardware_address(network), "up"])
    address = f"{network.address}/{network.pods.prefixlen}"
    run(["ip", "address", "replace", address, "dev", network.bridge])
    # Without it, packets to a service that has no rule yet leave through the default route.
    run(["ip", "route", "replace", str(network.services), "dev", network.bridge])


def remove(network: Network) -> bool:
    """Remove the bridge, and with it its address, its routes and the pods' ends of it."""
    if not _exists(network.bridge):
        return False
    for port in json.loads(run(["ip", "-json", "link", "show", "master", network.bridge]) or "[]"):
        # One whose network namespace is being destroyed may be gone.
        succeeds(["ip", "link", "delete", port["ifname"]])
    run(["ip", "link", "delete", network.bridge])
    return True


def routes() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run(["ip", "-json", "-4", "route", "show", "table", "all"]) or "[]")
    return found


def require_unused(network: Network, found: list[dict[str, Any]]) -> None:
    for route in found:
        destination = str(route.get("dst", "default"))
        if destination == "default" or route.get("dev") == network.bridge:
            continue
        for own in (network.pods, network.services):
            if own.overlaps(IPv4Network(destination, strict=False)):
                raise ClusterError(
                    f"the cluster's network {own} collides with the route to {destination} by {route.get('dev')}",
                    "remove that route, or change the networks in deploy/local/localcluster/paths.py",
                )


def _exists(bridge: str) -> bool:
    links = json.loads(run(["ip", "-json", "link", "show"]))
    return any(link["ifname"] == bridge for link in links)


def _hardware_address(network: Network) -> str:
    return ":".join(f"{byte:02x}" for byte in b"\x02\x6d" + network.address.packed)
