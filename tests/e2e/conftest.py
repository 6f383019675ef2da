"""One cluster, one operator installed by Helm, a namespace per test. What was booted here is taken down here.

Nothing is faked: API server, kubelet, containers, Prometheus, Helm and kubectl are the real ones. With
CLUSTER=current the tests run on the cluster of KUBECONFIG and leave its components alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from memroll_demo import site
from tests.e2e import objects
from tests.e2e.looking import RELEASE, show
from tests.soak.kube import Kube
from tests.soak.load import Load
from tests.soak.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from memroll_demo.site import Site

HERE = Path(__file__).parent
IMAGE = "localhost/memroll:e2e"
NAMES = (
    *("surge", "fleet", "rollback", "killed", "outage", "odd", "invalid", "stateful", "strategies"),
    *("matrix", "broken", "disturbed", "drain", "evidence", "systems"),
    *(f"isolation-{number}" for number in range(4)),
)


@pytest.hookimpl(tryfirst=True)  # before `-m` is gone by
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what shares the installed operator: those tests follow each other, the others can go on beside them."""
    for item in items:
        if item.path.is_relative_to(HERE) and "operator" in item.fixturenames:
            item.add_marker(pytest.mark.installed)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Site]:
    """Use the cluster that is up, or boot one and take it down again."""
    if site.is_current():
        yield site.current()
        return
    up = site.status()
    try:
        yield up or site.boot()
    finally:
        if up is None:
            site.local("down", show=True)


@pytest.fixture(scope="session")
def service_image(cluster: Site) -> str:
    """Return an image with python3."""
    return cluster.service_image


@pytest.fixture(scope="session")
def operator(cluster: Site) -> Iterator[str]:
    """Install memroll from the repository's chart, watching only the tests' namespaces; return its namespace."""
    image = cluster.operator_image(IMAGE)
    try:
        cluster.install(RELEASE, RELEASE, image, [f"{RELEASE}-{name}" for name in NAMES], *site.FAST_LEAKS,
            "--set", "restart.enabled=true",
        )  # fmt: skip
        yield RELEASE
    finally:
        cluster.uninstall(RELEASE, RELEASE)


@pytest.fixture
def namespace(cluster: Site, operator: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """Return a fresh namespace, named by the module's or test's `area` mark, with the service's program in it."""
    name = f"{RELEASE}-{request.node.get_closest_marker('area').args[0]}"
    cluster.kubectl("delete", "namespace", name, "--ignore-not-found")
    cluster.apply(objects.namespace(name))
    cluster.apply(objects.program(name))
    yield name
    if request.session.testsfailed:
        show(cluster, name, operator)
    cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="session")
def kube(cluster: Site) -> Iterator[Kube]:
    """Return a door to the API server that costs less than a kubectl per question."""
    with Kube(cluster) as opened:
        yield opened


@pytest.fixture
def stage(cluster: Site, operator: str, kube: Kube, request: pytest.FixtureRequest) -> Iterator[Stage]:
    """Return an open stage in a fresh namespace, named by the test's `area` mark."""
    if not cluster.local:
        pytest.skip("the load comes from the node itself: needs the local cluster")
    name = f"{RELEASE}-{request.node.get_closest_marker('area').args[0]}"
    opened = Stage(cluster, kube, name, cluster.service_image)
    opened.open()
    yield opened
    opened.unload()
    if request.session.testsfailed:
        show(cluster, name, operator)
    opened.close()


@pytest.fixture
def load(cluster: Site) -> Iterator[Callable[[str, str], Load]]:
    """Start a steady load on a Service: `load(namespace, name)`. The host routes to ClusterIPs of the local cluster."""
    if not cluster.local:
        pytest.skip("the load comes from the node itself: needs the local cluster")
    running: list[Load] = []

    def start(namespace: str, name: str) -> Load:
        address = cluster.get("service", namespace, name)["spec"]["clusterIP"]
        running.append(Load(f"http://{address}/").start())
        return running[-1]

    yield start
    for one in running:
        one.stop()
