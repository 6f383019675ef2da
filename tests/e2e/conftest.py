"""One cluster, one operator installed by Helm, a namespace per test. What was booted here is taken down here.

Nothing is faked: API server, kubelet, containers, Prometheus, Helm and kubectl are the real ones. With
CLUSTER=current the tests run on the cluster of KUBECONFIG and leave its components alone.
"""

from __future__ import annotations

import threading
import time
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from memroll_demo import site
from tests.e2e import objects

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from memroll_demo.site import Site

RELEASE = "memroll-e2e"
"""Also the namespace of the operator."""
IMAGE = "localhost/memroll:e2e"
NAMES = ("surge", "fleet", "rollback", "killed", "outage", "odd", "invalid", "stateful", "strategies")


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
        _show(cluster, name, operator)
    cluster.kubectl("delete", "namespace", name, "--wait=false")


def _show(cluster: Site, namespace: str, operator: str) -> None:
    """Print what a person would look at after a failure."""
    for arguments in (
        ("get", "mempol,podrolls,pods,deployments,events", "-n", namespace, "-o", "wide"),
        ("get", "podrolls", "-n", namespace, "-o", "yaml"),
        ("logs", "-n", operator, f"deployment/{RELEASE}", "--tail=60"),
    ):
        try:
            print(cluster.kubectl(*arguments))
        except AssertionError as error:
            print(error)


@dataclass
class Load:
    """Requests to one address, a new connection each, until stopped."""

    url: str
    per_s: float = 20.0
    served: int = 0
    failures: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> Load:
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(4)]
        for thread in self._threads:
            thread.start()
        return self

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(10)

    def _run(self) -> None:
        while not self._stop.wait(len(self._threads) / self.per_s):
            asked_at = time.strftime("%H:%M:%S")
            try:
                with urllib.request.urlopen(self.url, timeout=5) as answer:
                    answer.read()
                self.served += 1
            except OSError as error:
                self.failures.append(f"{asked_at} {error}")


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
