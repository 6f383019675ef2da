"""The Debian packages the node is made of, installed without letting their services start."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from localcluster.errors import ClusterError, CommandFailed
from localcluster.report import Report
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
    "prometheus",
    "runc",
)
# Services these packages enable. They were not there before, so they must not come with the next boot.
SERVICES = {"containerd": "containerd", "etcd-server": "etcd", "prometheus": "prometheus"}
GUARD = Path("/usr/sbin/policy-rc.d")
GUARD_TEXT = "#!/bin/sh\n# memroll: no service starts while its packages are being installed\nexit 101\n"
SUITE = "bookworm"


@dataclass(frozen=True)
class Archive:
    mirror: str
    suite: str


def install_missing(report: Report, log: Path) -> list[str]:
    missing = missing_packages()
    if not missing:
        return []
    report(f"installing Debian packages: {' '.join(missing)}")
    environment = {"DEBIAN_FRONTEND": "noninteractive"}
    options = ["-y", "--no-install-recommends", "-o", "Dpkg::Options::=--force-confold"]
    wait = ["-o", "DPkg::Lock::Timeout=600"]
    with services_held(GUARD):
        run(["apt-get", *wait, "update"], env=environment, log=log)
        try:
            run(["apt-get", *wait, "install", *options, *missing], env=environment, log=log)
        except CommandFailed:
            # A run that was killed here leaves packages unpacked but not configured.
            run(["dpkg", "--configure", "-a", "--force-confold"], env=environment, log=log)
            run(["apt-get", *wait, "install", *options, *missing], env=environment, log=log)
        _disable([SERVICES[package] for package in missing if package in SERVICES])
    return missing


def missing_packages() -> list[str]:
    try:
        text = run(["dpkg-query", "-W", "-f", "${db:Status-Status} ${Package}\n"])
    except CommandFailed as error:
        raise ClusterError(
            "this machine is not a Debian: dpkg-query does not work",
            "use Debian 12 or a machine image made from it",
        ) from error
    return missing_from(text)


def missing_from(text: str) -> list[str]:
    lines = (line.partition(" ") for line in text.splitlines())
    installed = {name for status, _, name in lines if status == "installed"}
    return [package for package in PACKAGES if package not in installed]


@contextmanager
def services_held(guard: Path) -> Iterator[None]:
    """Debian asks this file before a package starts its service. A file of somebody else's stays."""
    if not guard.exists():
        guard.write_text(GUARD_TEXT)
        guard.chmod(0o755)
    try:
        yield
    finally:
        remove_guard(guard)


def remove_guard(guard: Path = GUARD) -> None:
    if guard.is_file() and guard.read_text() == GUARD_TEXT:
        guard.unlink()


def archive() -> Archive:
    """Find the mirror this machine itself installs from."""
    text = run(["apt-get", "indextargets", "--format", "$(SITE) $(CODENAME) $(COMPONENT)", "Created-By: Packages"])
    return parse_archive(text)


def parse_archive(text: str) -> Archive:
    for line in text.splitlines():
        site, suite, component = line.split()
        if suite == SUITE and component == "main":
            return Archive(site.rstrip("/"), suite)
    raise ClusterError(
        f"apt knows no mirror of Debian {SUITE}", f"add one with the suite {SUITE} to /etc/apt/sources.list.d"
    )


def download_environment() -> dict[str, str]:
    """Pass on the proxy apt is told to use: debootstrap does not read apt's configuration."""
    text = run(["apt-config", "dump", "Acquire::http::Proxy", "Acquire::https::Proxy"])
    found = re.findall(r'^Acquire::(https?)::Proxy "([^"]+)";', text, re.MULTILINE)
    return {f"{scheme}_proxy": proxy for scheme, proxy in found if proxy.upper() != "DIRECT"}


def _disable(services: list[str]) -> None:
    """Undo what the packages' own scripts did, with the tools those use: systemctl may not be there."""
    for service in services:
        caller = {"DPKG_MAINTSCRIPT_PACKAGE": service}
        run(["deb-systemd-helper", "disable", f"{service}.service"], env=caller)
        if (Path("/etc/init.d") / service).exists():
            run(["update-rc.d", service, "disable"])
