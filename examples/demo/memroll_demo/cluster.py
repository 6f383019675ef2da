"""Access to the cluster of a demo: the local one, started if necessary, or with CLUSTER=current that of KUBECONFIG.

Also used by the end-to-end tests.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import yaml

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
ROOT = Path(__file__).parents[3]
CHART = ROOT / "deploy/helm/memroll"
POLL_S = 0.5
SHORT_TESTS = ("--set", "policyBounds.minInterval=5s,policyBounds.manualRollsPerHour=10000")
"""Bounds of an installation whose policies have shorter intervals than those of a shared cluster, and whose PodRolls
are created by tests."""
FAST_LEAKS = ("--set", "rollRateLimit.maxRollsPerHour=1000,rollRateLimit.maxNamespaceShare=100")
"""Helm arguments that raise the rate limit: its default fits services that leak for hours, these leak for minutes."""
COMMAND_S = 600.0
"""Timeout in seconds of a command; longer than any timeout that kubectl and helm are given."""
STOPPING_S = 30.0
"""Time in seconds that an interrupted command has to stop the processes that it started."""


class CommandError(AssertionError):
    """Command that failed; the message contains its standard output and standard error."""


def run(command: list[str], *, stdin: str = "", env: dict[str, str] | None = None, check: bool = True) -> str:
    """Run a command and return its standard output."""
    environment = os.environ | (env or {})
    try:
        done = subprocess.run(
            command, input=stdin, env=environment, capture_output=True, text=True, check=False, timeout=COMMAND_S
        )
    except subprocess.TimeoutExpired as late:
        raise CommandError(f"{' '.join(command)} did not end within {COMMAND_S:.0f} s") from late
    if check and done.returncode:
        raise CommandError(f"{' '.join(command)} exited with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def run_localcluster(*arguments: str, check: bool = True, show: bool = False) -> str:
    """Run the local cluster's command line; `show` shows its progress."""
    command = [sys.executable, "-m", "localcluster", *arguments]
    environment = {"PYTHONPATH": str(ROOT / "deploy" / "local")}
    if not show:
        return run(command, env=environment, check=check)
    output, code = run_with_progress(command, environment)
    if check and code:
        raise CommandError(f"localcluster {arguments[0]} exited with {code}")
    return output


def run_with_progress(command: list[str], env: dict[str, str]) -> tuple[str, int]:
    """Run a command that shows its progress on standard error; return its standard output and exit code.

    The command leads its own process group, so that an interrupt reaches it once, through this process. It then has
    time to stop the processes that it started, which `subprocess.run` would not grant.
    """
    with subprocess.Popen(
        command,
        env=os.environ | env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        process_group=0,
    ) as child:
        try:
            output, _ = child.communicate()
        except KeyboardInterrupt:
            child.send_signal(signal.SIGINT)
            try:
                child.communicate(timeout=STOPPING_S)
            except subprocess.TimeoutExpired:
                child.kill()
            raise
        return output, child.returncode


def wait_for(what: str, observe: Callable[[], T], timeout_s: float = 60.0) -> T:
    """Call `observe` until it returns a true value, and return that; fail with the last value after the timeout."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = observe()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"timed out after {timeout_s:.0f} s, waiting for {what}; last value: {value!r}")
        time.sleep(POLL_S)


@dataclass(frozen=True)
class DemoCluster:
    """Cluster that a demo runs on. `local`: True for the local cluster, whose components may be stopped."""

    kubeconfig: str
    prometheus_url: str
    kubectl_path: str
    helm_path: str
    service_image: str
    local: bool

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        return run([self.kubectl_path, *arguments], stdin=stdin, env={"KUBECONFIG": self.kubeconfig})

    def helm(self, *arguments: str) -> str:
        return run([self.helm_path, *arguments], env={"KUBECONFIG": self.kubeconfig})

    def refusal(self, *objects: dict[str, Any]) -> str:
        """Apply objects that the API server must reject, and return its error message."""
        try:
            self.apply(*objects)
        except CommandError as error:
            return str(error)
        raise AssertionError(f"the API server accepted {objects}")

    def get(self, kinds: str, namespace: str, name: str = "") -> Any:  # noqa: ANN401 - JSON
        """Return an object (None when it does not exist), or the list of one or more kinds."""
        arguments = ["get", kinds, *([name] if name else []), "-n", namespace, "-o", "json", "--ignore-not-found"]
        text = self.kubectl(*arguments)
        found: Any = json.loads(text) if text.strip() else None
        return found if name else (found or {}).get("items", [])

    def apply(self, *objects: dict[str, Any]) -> None:
        self.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(objects))

    def events(self, namespace: str, kind: str, name: str = "") -> list[tuple[str, str]]:
        """Return reason and message of memroll's Events on the objects of one kind."""
        return [
            (e["reason"], e["message"])
            for e in self.get("events", namespace)
            if e["involvedObject"]["kind"] == kind
            and (not name or e["involvedObject"]["name"] == name)
            and e.get("source", {}).get("component") == "memroll"
        ]

    def rolls(self, namespace: str) -> list[dict[str, Any]]:
        return sorted(self.get("podrolls", namespace), key=lambda r: r["metadata"]["creationTimestamp"])

    def phases(self, namespace: str) -> list[str]:
        return [r.get("status", {}).get("phase", "") for r in self.rolls(namespace)]

    def condition(self, namespace: str, policy: str, type_: str) -> tuple[str, str, str]:
        conditions = (self.get("mempol", namespace, policy) or {}).get("status", {}).get("conditions", [])
        found: dict[str, str] = next((c for c in conditions if c["type"] == type_), {})
        return found.get("status", ""), found.get("reason", ""), found.get("message", "")

    def install(
        self, release: str, namespace: str, image: str, watched: list[str], *more: str, chart: Path = CHART
    ) -> None:
        """Install memroll, or upgrade it, for these namespaces only, or for all; `more` is passed to helm."""
        namespaces = ("--set", f"watchNamespaces={{{','.join(watched)}}}") if watched else ()
        repository, _, tag = image.rpartition(":")
        self.helm(
            "upgrade", "--install", release, str(chart), "--namespace", namespace,
            "--create-namespace", "--take-ownership", "--wait", "--timeout", "3m",
            "--set", f"image.repository={repository},image.tag={tag}",
            "--set", f"prometheus.connections.default.url={self.prometheus_url}",
            *namespaces, *SHORT_TESTS, *more,
        )  # fmt: skip
        # Helm returns once a new pod is ready; until the old pod is gone, it may still be the leader.
        wait_for(f"the end of {release}'s earlier pods", lambda: len(self.template_hashes(release, namespace)) <= 1, 90)

    def template_hashes(self, release: str, namespace: str) -> set[str]:
        """Return the template hashes of the release's existing pods."""
        hashes = "jsonpath={.items[*].metadata.labels.pod-template-hash}"
        selector = f"app.kubernetes.io/instance={release}"
        return set(self.kubectl("get", "pods", "-n", namespace, "-l", selector, "-o", hashes).split())

    def uninstall(self, release: str, namespace: str) -> None:
        self.helm("uninstall", release, "--namespace", namespace, "--wait", "--ignore-not-found")
        # kubectl waits for the deletion: an install into a namespace that is being terminated would be rejected.
        self.kubectl("delete", "namespace", namespace, "--ignore-not-found", "--timeout=2m")

    def build_operator_image(self, name: str) -> str:
        """Build the operator's image for the local cluster; on other clusters, MEMROLL_IMAGE names it."""
        return self.build_image(name, ROOT / "deploy/image/Dockerfile", ROOT, "MEMROLL_IMAGE")

    def build_systems_image(self, name: str) -> str:
        """Build the image of the four systems for the local cluster; on other clusters, SYSTEMS_IMAGE names it."""
        return self.build_image(name, ROOT / "examples/systems/Dockerfile", ROOT, "SYSTEMS_IMAGE")

    def build_image(self, name: str, dockerfile: Path, context: Path, variable: str, **arguments: str) -> str:
        """Build an image for the local cluster if its sources have changed; on other clusters, a variable names it."""
        if not self.local:
            if not os.environ.get(variable):
                raise AssertionError(f"CLUSTER=current needs {variable} in the environment")
            return os.environ[variable]
        build_arguments = {"BASE": self.service_image} | arguments
        options = [word for key, value in build_arguments.items() for word in ("--build-arg", f"{key}={value}")]
        run_localcluster("build-image", name, "--file", str(dockerfile), "--context", str(context), *options, show=True)
        return name

    def versions(self) -> dict[str, str]:
        """Return the versions of Kubernetes, Helm and Prometheus."""
        server = json.loads(self.kubectl("version", "-o", "json"))["serverVersion"]["gitVersion"]
        helm = self.helm("version", "--template", "{{.Version}}")
        found = {"kubernetes": server, "helm": helm, "prometheus": ""}
        url = f"{self.prometheus_url}/api/v1/status/buildinfo"
        # Some servers that are compatible with Prometheus have no such page.
        with contextlib.suppress(OSError, ValueError, KeyError), urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310
            found["prometheus"] = json.load(answer)["data"]["version"]
        return found


def is_current() -> bool:
    return os.environ.get("CLUSTER") == "current"


def current() -> DemoCluster:
    """Return the cluster of KUBECONFIG; environment variables must name its Prometheus and the images."""
    needed = ("KUBECONFIG", "PROMETHEUS_URL", "MEMROLL_IMAGE", "DEMO_IMAGE")
    missing = [name for name in needed if not os.environ.get(name)]
    if missing:
        raise AssertionError(f"CLUSTER=current needs {', '.join(missing)} in the environment")
    config, prometheus, _, image = (os.environ[name] for name in needed)
    return DemoCluster(config, prometheus, "kubectl", "helm", image, local=False)


def status() -> DemoCluster | None:
    """Return the local cluster; None if it is down."""
    found = json.loads(run_localcluster("status", "--json", check=False))
    if not found["up"]:
        return None
    tools = Path(found["bin_dir"])
    kubectl, helm = str(tools / "kubectl"), str(tools / "helm")
    return DemoCluster(found["kubeconfig"], found["prometheus_url"], kubectl, helm, found["base_image"], local=True)


def boot() -> DemoCluster:
    """Start the local cluster and return it."""
    run_localcluster("up", show=True)
    started = status()
    assert started is not None, "the local cluster is down right after `up`"
    return started
