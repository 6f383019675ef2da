"""The command in one file: memroll with its dependencies, for this platform and one minor version of Python."""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from memroll_release.archive import build_archive
from memroll_release.release import ReleaseError
from memroll_release.run import run
from memroll_release.wheel import DISTRIBUTIONS, build_wheel

if TYPE_CHECKING:
    from memroll_release.release import Release

PATTERNS = ("memroll-*.pyz", "memroll-*.tar.gz", "memroll.yaml")
PIP = ("-m", "pip", "--quiet", "--disable-pip-version-check")
INSTALL = ("install", "--no-compile", "--no-deps")
MINOR_VERSION = "import sys; print('%d.%d' % sys.version_info[:2])"


def find_missing(release: Release) -> str:
    if shutil.which(release.options.python):
        return ""
    return f"there is no {release.options.python}: set PYTHON=/path/to/python3"


def build_command(release: Release, folder: Path) -> None:
    python = shutil.which(release.options.python) or release.options.python
    minor = run([python, "-c", MINOR_VERSION], cwd=release.root, environment=release.environment).strip()
    with tempfile.TemporaryDirectory() as temporary:
        packages = Path(temporary) / "packages"
        _install(release, python, packages, Path(temporary))
        remove_scripts(packages)
        archive = build_archive(release, packages, folder, minor)
    check_command(archive, python, release)


def _install(release: Release, python: str, packages: Path, temporary: Path) -> None:
    build_wheel(release, DISTRIBUTIONS[0], temporary)
    pip = [sys.executable, *PIP, "--python", python, *INSTALL, "--target", packages]
    requirements = ["--require-hashes", "--only-binary", ":all:", "-r", release.root / "requirements.txt"]
    environment = {**release.environment, "PIP_ROOT_USER_ACTION": "ignore"}  # as an option, older versions lack it
    run([*pip, *requirements], cwd=temporary, environment=environment)
    # By name, not by path: pip would record the path of the wheel in the installed package.
    found = ["--upgrade", "--no-index", "--find-links", temporary, f"memroll=={release.version}"]
    run([*pip, *found], cwd=temporary, environment=environment)


def remove_scripts(packages: Path) -> None:
    """Remove the packages' own commands: they contain the path of this machine's Python."""
    shutil.rmtree(packages / "bin", ignore_errors=True)
    for record in packages.glob("*.dist-info/RECORD"):
        text = record.read_text(encoding="utf-8")
        record.write_text(re.sub(r"^\.\./\.\./bin/.*\n", "", text, flags=re.MULTILINE), encoding="utf-8")


def check_command(archive: Path, python: str, release: Release) -> None:
    """Raise unless the archive starts and reports its version. It unpacks itself into a folder that is removed."""
    with tempfile.TemporaryDirectory() as cache:
        environment = {**release.environment, "SHIV_ROOT": cache}
        printed = run([python, archive, "--version"], cwd=release.root, environment=environment)
    if release.version not in printed:
        raise ReleaseError(f"{archive.name} --version prints {printed.strip()}, not {release.version}")
