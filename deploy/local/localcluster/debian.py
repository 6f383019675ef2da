"""Installs the Debian packages of the node without starting their services, and finds the mirror for the base image."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from localcluster.errors import ClusterError, CommandFailedError
from localcluster.progress import Reporter
from localcluster.run import run

PACKAGES = (
    "buildah",
    "ca-certificates",
    "conntrack",
    "containerd",
    "containernetworking-plugins",
    "debootstrap",
    "etcd-server",
    "iproute2",
    "iptables",
    "lua5.4",  # not for the node: a test runs the health checks for Argo CD
    "prometheus",
    "runc",
)
# Services that these packages enable. They are disabled again, so that they do not start with the next boot.
SERVICES = {"containerd": "containerd", "etcd-server": "etcd", "prometheus": "prometheus"}
POLICY_FILE = Path("/usr/sbin/policy-rc.d")
POLICY_TEXT = "#!/bin/sh\n# memroll: no service starts while its packages are being installed\nexit 101\n"
SUITE = "bookworm"


@dataclass(frozen=True)
class Archive:
    mirror: str
    suite: str


def install_missing(report: Reporter, log: Path) -> list[str]:
    missing = find_missing()
    if not missing:
        return []
    report(f"installing Debian packages: {' '.join(missing)}")
    environment = {"DEBIAN_FRONTEND": "noninteractive"}
    options = ["-y", "--no-install-recommends", "-o", "Dpkg::Options::=--force-confold"]
    wait = ["-o", "DPkg::Lock::Timeout=600"]
    with block_service_starts(POLICY_FILE):
        run(["apt-get", *wait, "update"], env=environment, log=log)
        try:
            run(["apt-get", *wait, "install", *options, *missing], env=environment, log=log)
        except CommandFailedError:
            # A run that was killed here leaves packages unpacked but not configured.
            run(["dpkg", "--configure", "-a", "--force-confold"], env=environment, log=log)
            run(["apt-get", *wait, "install", *options, *missing], env=environment, log=log)
        _disable([SERVICES[package] for package in missing if package in SERVICES])
    return missing


def find_missing() -> list[str]:
    try:
        text = run(["dpkg-query", "-W", "-f", "${db:Status-Status} ${Package}\n"])
    except CommandFailedError as error:
        raise ClusterError(
            "this machine is not a Debian: dpkg-query does not work",
            "use Debian 12 or a machine image made from it",
        ) from error
    return parse_missing(text)


def parse_missing(text: str) -> list[str]:
    lines = (line.partition(" ") for line in text.splitlines())
    installed = {name for status, _, name in lines if status == "installed"}
    return [package for package in PACKAGES if package not in installed]


@contextmanager
def block_service_starts(policy_file: Path) -> Iterator[None]:
    """Write the policy file that Debian runs before a package starts its service. An existing file is left as it is."""
    if not policy_file.exists():
        policy_file.write_text(POLICY_TEXT)
        policy_file.chmod(0o755)
    try:
        yield
    finally:
        remove_policy_file(policy_file)


def remove_policy_file(policy_file: Path = POLICY_FILE) -> None:
    if policy_file.is_file() and policy_file.read_text() == POLICY_TEXT:
        policy_file.unlink()


def archive() -> Archive:
    """Return the mirror that this machine installs from."""
    text = run(["apt-get", "indextargets", "--format", "$(SITE) $(CODENAME) $(COMPONENT)", "Created-By: Packages"])
    return parse_archive(text)


def parse_archive(text: str) -> Archive:
    for line in text.splitlines():
        site, suite, component = line.split()
        if suite == SUITE and component == "main":
            return Archive(site.rstrip("/"), suite)
    raise ClusterError(
        f"apt has no mirror of Debian {SUITE}", f"add one with the suite {SUITE} to /etc/apt/sources.list.d"
    )


def download_environment() -> dict[str, str]:
    """Return apt's proxy as environment variables: debootstrap does not read apt's configuration."""
    text = run(["apt-config", "dump", "Acquire::http::Proxy", "Acquire::https::Proxy"])
    found = re.findall(r'^Acquire::(https?)::Proxy "([^"]+)";', text, re.MULTILINE)
    return {f"{scheme}_proxy": proxy for scheme, proxy in found if proxy.upper() != "DIRECT"}


def _disable(services: list[str]) -> None:
    """Undo what the packages' scripts did, with the same tools: systemctl may be missing."""
    for service in services:
        caller = {"DPKG_MAINTSCRIPT_PACKAGE": service}
        run(["deb-systemd-helper", "disable", f"{service}.service"], env=caller)
        if (Path("/etc/init.d") / service).exists():
            run(["update-rc.d", service, "disable"])
