"""Fixtures of the end-to-end tests: one cluster, one operator installed by Helm, a namespace for each test.

API server, kubelet, containers, Prometheus, Helm and kubectl are real. A cluster that is started here is stopped here.
With CLUSTER=current the tests use the cluster of KUBECONFIG and do not change its components. With several processes
(`-n`) all tests share the operator: the first process that needs it installs it, the last one removes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from memroll_demo import cluster as demo_cluster
from tests.e2e import distribution, objects, versions
from tests.e2e.diagnostics import RELEASE, print_diagnostics
from tests.e2e.images import OPERATOR
from tests.e2e.proxied_cluster import ProxiedCluster
from tests.e2e.shared import SharedResources
from tests.soak.kubectl_proxy import KubectlProxy
from tests.soak.load import LoadGenerator
from tests.soak.roll_scenario import RollScenario, is_responding, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from xdist.remote import Producer
    from xdist.scheduler import Scheduling

    from memroll_demo.cluster import DemoCluster

WATCHED_NAMESPACES = pytest.StashKey[list[str]]()
"""Namespaces of all collected tests, which the shared operator watches."""
NAMESPACE = pytest.StashKey[str]()
"""Namespace of one test."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("memroll")
    group.addoption("--write-durations", action="store_true", help=f"update {distribution.DURATIONS_FILE.name}")
    group.addoption("--keep-operator", action="store_true", help="keep the shared operator for the next run of pytest")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--write-durations", default=False) and not is_worker(config):
        config.pluginmanager.register(distribution.DurationRecorder())


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    return distribution.UnitScheduler(config, log)


@pytest.hookimpl(tryfirst=True)  # before `-m` removes tests
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Assign a namespace to each test; sort the longest first if several processes run the tests."""
    config.stash[WATCHED_NAMESPACES] = assign_namespaces(items)
    if is_worker(config):
        items[:] = distribution.sort_longest_first(items, distribution.read_durations())


def is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def assign_namespaces(items: list[pytest.Item]) -> list[str]:
    """Assign a separate namespace to each test with the `area` mark; return all namespaces to watch.

    Tests of one module can then run concurrently, and none waits for the deletion of another test's pods.
    """
    watched, count = [], dict.fromkeys((a.args[0] for i in items for a in i.iter_markers("area")), 0)
    for item in items:
        mark = item.get_closest_marker("area")
        if mark is None:
            continue
        (area,) = mark.args
        count[area] += 1
        item.stash[NAMESPACE] = name = f"{RELEASE}-{area}-{count[area]}"
        if mark.kwargs.get("watched", True):
            watched.append(name)
    further = (name for item in items for mark in item.iter_markers("watches") for name in mark.args)
    return sorted({*watched, *further})


@pytest.fixture(scope="session")
def shared_resources(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> SharedResources:
    """Return the coordination of this run's processes, by a folder that all of them have."""
    folder: Path = tmp_path_factory.getbasetemp()
    return SharedResources(folder.parent if is_worker(request.config) else folder)


@pytest.fixture(scope="session")
def running_cluster() -> Iterator[DemoCluster]:
    """Return the running cluster; start one if necessary, and stop it at the end."""
    if demo_cluster.is_current():
        yield demo_cluster.current()
        return
    up = demo_cluster.status()
    try:
        yield up or demo_cluster.boot()
    finally:
        if up is None:
            demo_cluster.run_localcluster("down", show=True)


@pytest.fixture(scope="session")
def server_version(running_cluster: DemoCluster) -> str:
    return running_cluster.versions()["kubernetes"]


@pytest.fixture(autouse=True)
def _needed_version(request: pytest.FixtureRequest) -> None:
    """Skip a test of a feature that the server's version lacks."""
    if mark := request.node.get_closest_marker("needs_kubernetes"):
        reason = versions.reason_to_skip(request.getfixturevalue("server_version"), *mark.args)
        if reason:
            pytest.skip(reason)


@pytest.fixture(scope="session")
def kube(running_cluster: DemoCluster) -> Iterator[KubectlProxy]:
    """Return a client of the API server, which costs less CPU than a kubectl process per request."""
    with KubectlProxy(running_cluster) as proxy:
        yield proxy


@pytest.fixture(scope="session")
def cluster(running_cluster: DemoCluster, kube: KubectlProxy, request: pytest.FixtureRequest) -> DemoCluster:
    """Return the cluster. With several processes the operator is installed first, because its chart has the CRDs."""
    if is_worker(request.config):
        request.getfixturevalue("shared_operator")
    return ProxiedCluster.of(running_cluster, kube)


@pytest.fixture(scope="session")
def service_image(cluster: DemoCluster) -> str:
    """Return an image with python3."""
    return cluster.service_image


@pytest.fixture(scope="session")
def shared_operator(
    running_cluster: DemoCluster, shared_resources: SharedResources, request: pytest.FixtureRequest
) -> Iterator[None]:
    """Install memroll from the repository's chart, watching only the tests' namespaces."""

    def install() -> None:
        image = running_cluster.build_operator_image(OPERATOR)
        watched = request.config.stash[WATCHED_NAMESPACES]
        options = (*demo_cluster.FAST_LEAKS, "--set", "restart.enabled=true")
        running_cluster.install(RELEASE, RELEASE, image, watched, *options)

    def uninstall() -> None:
        if not request.config.getoption("--keep-operator", default=False):
            running_cluster.uninstall(RELEASE, RELEASE)

    with shared_resources.use("operator", install, uninstall):
        yield


@pytest.fixture(scope="session")
def operator(shared_operator: None) -> str:
    """Return the namespace of the shared operator."""
    return RELEASE


@pytest.fixture
def area(request: pytest.FixtureRequest) -> str:
    """Return the name of the test's namespace, assigned by its `area` mark."""
    return str(request.node.stash[NAMESPACE])


@pytest.fixture
def namespace(cluster: DemoCluster, operator: str, area: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """Create the test's namespace with the service's program in it, and return its name."""
    cluster.kubectl("delete", "namespace", area, "--ignore-not-found")
    cluster.apply(objects.namespace(area), objects.program(area))
    yield area
    if request.session.testsfailed:
        print_diagnostics(cluster, area, operator)
    cluster.kubectl("delete", "namespace", area, "--wait=false")


@pytest.fixture
def scenario(
    cluster: DemoCluster, operator: str, kube: KubectlProxy, area: str, request: pytest.FixtureRequest
) -> Iterator[RollScenario]:
    """Return a roll scenario in the test's namespace."""
    if not cluster.local:
        pytest.skip("the load comes from the node itself: needs the local cluster")
    created = RollScenario(cluster, kube, area, cluster.service_image)
    created.create_namespace()
    yield created
    created.stop_load()
    if request.session.testsfailed:
        print_diagnostics(cluster, area, operator)
    created.delete_namespace()


@pytest.fixture
def start_load(cluster: DemoCluster) -> Iterator[Callable[[str, str], LoadGenerator]]:
    """Return a function that starts a load on a Service. The host routes to ClusterIPs of the local cluster."""
    if not cluster.local:
        pytest.skip("the load comes from the node itself: needs the local cluster")
    generators: list[LoadGenerator] = []

    def start(namespace: str, name: str) -> LoadGenerator:
        address = cluster.get("service", namespace, name)["spec"]["clusterIP"]
        url = f"http://{address}/"
        wait_until("the Service to respond", lambda: is_responding(url))  # kube-proxy may not have it yet
        generators.append(LoadGenerator(url).start())
        return generators[-1]

    yield start
    for generator in generators:
        generator.stop()
