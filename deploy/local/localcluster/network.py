"""The bridge that is the node, and the route that keeps service traffic on this machine."""

import json
from ipaddress import IPv4Network
from typing import Any

from localcluster.errors import ClusterError
from localcluster.layout import Network
from localcluster.run import run, succeeds


def ensure(network: Network) -> None:
    """Make bridge, address and route; what is there already stays."""
    require_unused(network, routes())
    if not _exists(network.bridge):
        run(["ip", "link", "add", network.bridge, "type", "bridge"])
    # A bridge takes the lowest address of its ports unless it has one of its own: peers would have to learn
    # a new one whenever a pod comes or goes.
    run(["ip", "link", "set", network.bridge, "address", _hardware_address(network), "up"])
    address = f"{network.address}/{network.pods.prefixlen}"
    run(["ip", "address", "replace", address, "dev", network.bridge])
    # Without it, a packet to a service that has no rule for a moment leaves through the default route.
    run(["ip", "route", "replace", str(network.services), "dev", network.bridge])


def remove(network: Network) -> bool:
    """Remove the bridge, and with it its address, its routes and the pods' ends of it."""
    if not _exists(network.bridge):
        return False
    for port in json.loads(run(["ip", "-json", "link", "show", "master", network.bridge]) or "[]"):
        # One whose network namespace is just being destroyed may go by itself.
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
        for ours in (network.pods, network.services):
            if ours.overlaps(IPv4Network(destination, strict=False)):
                raise ClusterError(
                    f"the cluster's network {ours} collides with the route to {destination} by {route.get('dev')}",
                    "remove that route, or change the networks in deploy/local/localcluster/layout.py",
                )


def _exists(bridge: str) -> bool:
    links = json.loads(run(["ip", "-json", "link", "show"]))
    return any(link["ifname"] == bridge for link in links)


def _hardware_address(network: Network) -> str:
    return ":".join(f"{byte:02x}" for byte in b"\x02\x6d" + network.address.packed)
