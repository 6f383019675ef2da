"""One cluster, one operator installed by Helm, a namespace per test. What was booted here is taken down here.

Nothing is faked: API server, kubelet, containers, Prometheus, Helm and kubectl are the real ones. With
CLUSTER=current the tests run on the cluster of KUBECONFIG and leave its components alone. Spread over processes (`-n`)
they share that one operator; the first process that needs it installs it, the last one removes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from memroll_demo import site
from tests.e2e import objects, spreading
from tests.e2e.images import OPERATOR
from tests.e2e.looking import RELEASE, show
from tests.e2e.proxied import ProxiedSite
from tests.e2e.shared import Shared
from tests.soak.kube import Kube
from tests.soak.load import Load
from tests.soak.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from xdist.remote import Producer
    from xdist.scheduler import Scheduling

    from memroll_demo.site import Site

WATCHED = pytest.StashKey[list[str]]()
"""The namespaces of all tests that were collected: the operator is installed to watch them."""
AREA = pytest.StashKey[str]()
"""The namespace of one test."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("memroll")
    group.addoption("--write-durations", action="store_true", help=f"write {spreading.MEASURED.name} anew")
    group.addoption("--keep-operator", action="store_true", help="leave the shared operator for the next run of pytest")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--write-durations", default=False) and not is_worker(config):
        config.pluginmanager.register(spreading.Durations())


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    return spreading.Scheduler(config, log)


@pytest.hookimpl(tryfirst=True)  # before `-m` is gone by
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Name the namespace of each test, and begin with what takes longest where several processes share them."""
    config.stash[WATCHED] = name_areas(items)
    if is_worker(config):
        items[:] = spreading.longest_first(items, spreading.measured())


def is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def name_areas(items: list[pytest.Item]) -> list[str]:
    """Give each test that works in an area a namespace of its own; return all that are to be watched.

    Tests of one module may go on at the same time, and one that follows another need not wait for its pods to go.
    """
    watched, count = [], dict.fromkeys((a.args[0] for i in items for a in i.iter_markers("area")), 0)
    for item in items:
        mark = item.get_closest_marker("area")
        if mark is None:
            continue
        (area,) = mark.args
        count[area] += 1
        item.stash[AREA] = name = f"{RELEASE}-{area}-{count[area]}"
        if mark.kwargs.get("watched", True):
            watched.append(name)
    also = (name for item in items for mark in item.iter_markers("watches") for name in mark.args)
    return sorted({*watched, *also})


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Shared:
    """Return what the processes of this run agree by: a folder that all of them have."""
    folder: Path = tmp_path_factory.getbasetemp()
    return Shared(folder.parent if is_worker(request.config) else folder)


@pytest.fixture(scope="session")
def booted() -> Iterator[Site]:
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
def kube(booted: Site) -> Iterator[Kube]:
    """Return a door to the API server that costs less than a kubectl per question."""
    with Kube(booted) as opened:
        yield opened


@pytest.fixture(scope="session")
def cluster(booted: Site, kube: Kube, request: pytest.FixtureRequest) -> Site:
    """Return the cluster. Where processes share it, the operator is installed first: its chart brings the CRDs."""
    if is_worker(request.config):
        request.getfixturevalue("shared_operator")
    return ProxiedSite.of(booted, kube)


@pytest.fixture(scope="session")
def service_image(cluster: Site) -> str:
    """Return an image with python3."""
    return cluster.service_image


@pytest.fixture(scope="session")
def shared_operator(booted: Site, shared: Shared, request: pytest.FixtureRequest) -> Iterator[None]:
    """Install memroll from the repository's chart, watching only the tests' namespaces."""

    def install() -> None:
        image = booted.operator_image(OPERATOR)
        watched = request.config.stash[WATCHED]
        booted.install(RELEASE, RELEASE, image, watched, *site.FAST_LEAKS, "--set", "restart.enabled=true")

    def uninstall() -> None:
        if not request.config.getoption("--keep-operator", default=False):
            booted.uninstall(RELEASE, RELEASE)

    with shared.using("operator", install, uninstall):
        yield


@pytest.fixture(scope="session")
def operator(shared_operator: None) -> str:
    """Return the namespace of the operator that all tests share."""
    return RELEASE


@pytest.fixture
def area(request: pytest.FixtureRequest) -> str:
    """Return the name of the namespace that this test works in."""
    return str(request.node.stash[AREA])


@pytest.fixture
def namespace(cluster: Site, operator: str, area: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """Return a fresh namespace, named by the module's or test's `area` mark, with the service's program in it."""
    cluster.kubectl("delete", "namespace", area, "--ignore-not-found")
    cluster.apply(objects.namespace(area), objects.program(area))
    yield area
    if request.session.testsfailed:
        show(cluster, area, operator)
    cluster.kubectl("delete", "namespace", area, "--wait=false")


@pytest.fixture
def stage(cluster: Site, operator: str, kube: Kube, area: str, request: pytest.FixtureRequest) -> Iterator[Stage]:
    """Return an open stage in a fresh namespace, named by the test's `area` mark."""
    if not cluster.local:
        pytest.skip("the load comes from the node itself: needs the local cluster")
    opened = Stage(cluster, kube, area, cluster.service_image)
    opened.open()
    yield opened
    opened.unload()
    if request.session.testsfailed:
        show(cluster, area, operator)
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
