import pytest

from localcluster import network
from localcluster.errors import ClusterError
from localcluster.paths import NETWORK


@pytest.mark.parametrize(
    ("routes", "collides"),
    [
        pytest.param([{"dst": "default", "dev": "eth0"}], False, id="the default route"),
        pytest.param([{"dst": "10.231.0.0/24", "dev": "memroll0"}], False, id="our own"),
        pytest.param([{"dst": "10.230.0.0/16", "dev": "eth1"}], False, id="a neighbour"),
        pytest.param([{"dst": "10.0.0.0/8", "dev": "tun0"}], True, id="a larger network"),
        pytest.param([{"dst": "10.232.4.4", "dev": "eth1"}], True, id="one address of the services"),
    ],
)
def test_collisions_with_the_machine_s_routes_are_errors(routes: list[dict[str, str]], *, collides: bool) -> None:
    if not collides:
        network.require_unused(NETWORK, routes)
        return
    with pytest.raises(ClusterError, match=rf"collides with the route to {routes[0]['dst']} by {routes[0]['dev']}"):
        network.require_unused(NETWORK, routes)
