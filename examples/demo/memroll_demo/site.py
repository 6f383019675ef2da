"""The cluster to work on: the local one, booted if need be, or the one that CLUSTER=current names.

The end-to-end tests use it too.
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
POLL_S = 0.5
FAST_LEAKS = ("--set", "guard.maxRollsPerHour=1000,guard.maxNamespaceShare=100")
"""The runaway guard is made for services that leak for hours: these live for minutes."""
COMMAND_S = 600.0
"""Longer than anything that kubectl and helm are asked to wait for."""
STOPPING_S = 30.0


class CommandError(AssertionError):
    """A command failed; the text holds both of its streams."""


def run(command: list[str], *, stdin: str = "", env: dict[str, str] | None = None, check: bool = True) -> str:
    """Run a command and return what it printed."""
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


def local(*arguments: str, check: bool = True, show: bool = False) -> str:
    """Run the local cluster's driver; `show` lets its progress through."""
    command = [sys.executable, "-m", "localcluster", *arguments]
    environment = {"PYTHONPATH": str(ROOT / "deploy" / "local")}
    if not show:
        return run(command, env=environment, check=check)
    printed, code = run_shown(command, environment)
    if check and code:
        raise CommandError(f"localcluster {arguments[0]} exited with {code}")
    return printed


def run_shown(command: list[str], env: dict[str, str]) -> tuple[str, int]:
    """Run a command that shows its progress on standard error; return what it printed, and its exit code.

    It leads a process group of its own, so that an interrupt reaches it once, through us; it then gets the time to
    stop what it started, which `subprocess.run` would not give it.
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
            printed, _ = child.communicate()
        except KeyboardInterrupt:
            child.send_signal(signal.SIGINT)
            try:
                child.communicate(timeout=STOPPING_S)
            except subprocess.TimeoutExpired:
                child.kill()
            raise
        return printed, child.returncode


def wait_for(what: str, look: Callable[[], T], timeout_s: float = 60.0) -> T:
    """Return the first true thing that `look` returns; fail with what it returned last."""
    deadline = time.monotonic() + timeout_s
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout_s:.0f} s in vain for {what}; last seen: {seen!r}")
        time.sleep(POLL_S)


@dataclass(frozen=True)
class Site:
    """One cluster. `local`: it is ours, so its components may be stopped."""

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
        """Apply what the API server must refuse, and return its words."""
        try:
            self.apply(*objects)
        except CommandError as refused:
            return str(refused)
        raise AssertionError(f"the API server took it: {objects}")

    def get(self, kinds: str, namespace: str, name: str = "") -> Any:  # noqa: ANN401 - JSON
        """Return an object (None when it does not exist), or the list of one or more kinds."""
        arguments = ["get", kinds, *([name] if name else []), "-n", namespace, "-o", "json", "--ignore-not-found"]
        text = self.kubectl(*arguments)
        found: Any = json.loads(text) if text.strip() else None
        return found if name else (found or {}).get("items", [])

    def apply(self, *objects: dict[str, Any]) -> None:
        self.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(objects))

    def events(self, namespace: str, kind: str, name: str = "") -> list[tuple[str, str]]:
        """Return (reason, message) of memroll's events on the objects of one kind."""
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

    def install(self, release: str, namespace: str, image: str, watched: list[str], *more: str) -> None:
        """Install memroll from the repository's chart, to watch these namespaces only; `more` are helm's arguments."""
        repository, _, tag = image.rpartition(":")
        self.helm(
            "upgrade", "--install", release, str(ROOT / "deploy/helm/memroll"), "--namespace", namespace,
            "--create-namespace", "--take-ownership", "--wait", "--timeout", "3m",
            "--set", f"image.repository={repository},image.tag={tag}",
            "--set", f"prometheus.connections.default.url={self.prometheus_url}",
            "--set", f"watchNamespaces={{{','.join(watched)}}}", *more,
        )  # fmt: skip
        # Helm is content once a new pod is ready; until the old one is gone, that one may be the one that acts.
        wait_for(f"the end of {release}'s earlier pods", lambda: len(self.revisions(release, namespace)) <= 1, 90)

    def revisions(self, release: str, namespace: str) -> set[str]:
        """Return the template hashes of the release's pods that still exist."""
        hashes = "jsonpath={.items[*].metadata.labels.pod-template-hash}"
        chosen = f"app.kubernetes.io/instance={release}"
        return set(self.kubectl("get", "pods", "-n", namespace, "-l", chosen, "-o", hashes).split())

    def uninstall(self, release: str, namespace: str) -> None:
        self.helm("uninstall", release, "--namespace", namespace, "--wait", "--ignore-not-found")
        # Until it is gone: the next one to install here would be refused while the namespace is being terminated.
        self.kubectl("delete", "namespace", namespace, "--ignore-not-found", "--timeout=2m")

    def operator_image(self, name: str) -> str:
        """Build the operator's image for the local cluster; elsewhere MEMROLL_IMAGE names it."""
        return self.image(name, ROOT / "deploy/image/Dockerfile", ROOT, "MEMROLL_IMAGE")

    def systems_image(self, name: str) -> str:
        """Build the image of the four systems for the local cluster; elsewhere SYSTEMS_IMAGE names it."""
        return self.image(name, ROOT / "examples/systems/Dockerfile", ROOT, "SYSTEMS_IMAGE")

    def image(self, name: str, dockerfile: Path, context: Path, variable: str, **arguments: str) -> str:
        """Build an image for the local cluster, unless nothing of it has changed; elsewhere a variable names it."""
        if not self.local:
            if not os.environ.get(variable):
                raise AssertionError(f"CLUSTER=current needs {variable} in the environment")
            return os.environ[variable]
        given = {"BASE": self.service_image} | arguments
        options = [word for key, value in given.items() for word in ("--build-arg", f"{key}={value}")]
        local("build-image", name, "--file", str(dockerfile), "--context", str(context), *options, show=True)
        return name

    def versions(self) -> dict[str, str]:
        """Return the versions of what the demo ran on."""
        server = json.loads(self.kubectl("version", "-o", "json"))["serverVersion"]["gitVersion"]
        helm = self.helm("version", "--template", "{{.Version}}")
        found = {"kubernetes": server, "helm": helm, "prometheus": ""}
        url = f"{self.prometheus_url}/api/v1/status/buildinfo"
        # Some servers that answer Prometheus' queries have no such page.
        with contextlib.suppress(OSError, ValueError, KeyError), urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310
            found["prometheus"] = json.load(answer)["data"]["version"]
        return found


def is_current() -> bool:
    return os.environ.get("CLUSTER") == "current"


def current() -> Site:
    """Use the cluster of KUBECONFIG as it is; its Prometheus and the images must be named."""
    needed = ("KUBECONFIG", "PROMETHEUS_URL", "MEMROLL_IMAGE", "DEMO_IMAGE")
    missing = [name for name in needed if not os.environ.get(name)]
    if missing:
        raise AssertionError(f"CLUSTER=current needs {', '.join(missing)} in the environment")
    config, prometheus, _, image = (os.environ[name] for name in needed)
    return Site(config, prometheus, "kubectl", "helm", image, local=False)


def status() -> Site | None:
    """Return the local cluster, or None while it is down."""
    said = json.loads(local("status", "--json", check=False))
    if not said["up"]:
        return None
    tools = Path(said["bin_dir"])
    kubectl, helm = str(tools / "kubectl"), str(tools / "helm")
    return Site(said["kubeconfig"], said["prometheus_url"], kubectl, helm, said["base_image"], local=True)


def boot() -> Site:
    """Bring the local cluster up and return it."""
    local("up", show=True)
    found = status()
    assert found is not None, "the local cluster says it is not up, right after `up`"
    return found
