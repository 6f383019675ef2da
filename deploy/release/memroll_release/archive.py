"""Self-extracting archive of `memroll`, and the krew manifest for it.

In: the folder with the installed packages. Out: the archive by shiv, whose start is replaced by one that checks the
Python, the same file packed for krew, and the manifest. Called by command.
"""

from __future__ import annotations

import hashlib
import sys
import sysconfig
import zipfile
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from memroll_release.release import ROOT
from memroll_release.run import run
from memroll_release.tar_files import write_tar_gz

if TYPE_CHECKING:
    from memroll_release.release import Release

HERE = ROOT / "deploy/archive"
START = "__main__.py"
"""Name of the start of an archive, as Python requires it."""
MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
"""Name of a machine in krew by that in Python."""


def build_archive(release: Release, packages: Path, folder: Path, python: str) -> Path:
    """Build everything for a minor version of Python; return the path of the archive."""
    name = f"memroll-{release.version}-{sysconfig.get_platform()}-py{python.replace('.', '')}"
    archive = folder / f"{name}.pyz"
    shiv = [Path(sys.executable).parent / "shiv", "--site-packages", packages, "--output-file", archive]
    entry = ["--entry-point", "memroll.__main__:main", "--python", "/usr/bin/env python3", "--compressed"]
    run([*shiv, *entry, "--reproducible"], cwd=release.root, environment=release.environment)
    add_check(archive, check_text(python, sysconfig.get_platform()))
    packed = folder / f"{name}.tar.gz"
    files = {"memroll.pyz": archive.read_bytes(), "LICENSE": (release.root / "LICENSE").read_bytes()}
    write_tar_gz(packed, files, release.epoch_s, frozenset({"memroll.pyz"}))
    manifest = krew_manifest(packed, release.version, python, release.options.release_url)
    (folder / "memroll.yaml").write_text(manifest, encoding="utf-8")
    return archive


def check_text(python: str, platform: str) -> str:
    """Return the check for one minor version of Python and one platform."""
    text = (HERE / "python_check.py").read_text(encoding="utf-8")
    text = text.replace("BUILT_FOR = (3, 11)", f"BUILT_FOR = ({python.replace('.', ', ')})")
    return text.replace('BUILT_ON = "linux-x86_64"', f'BUILT_ON = "{platform}"')


def add_check(archive: Path, check: str) -> None:
    """Put a text before the start of an archive, which is a shebang and a zip file."""
    shebang = archive.read_bytes().split(b"\n", 1)[0] + b"\n"
    changed = archive.with_suffix(".new")
    with zipfile.ZipFile(archive) as old, changed.open("wb") as file:
        file.write(shebang)
        with zipfile.ZipFile(file, "w") as new:
            for entry in old.infolist():
                content = old.read(entry)
                start = f"{check}\n\n".encode() if entry.filename == START else b""
                new.writestr(entry, start + content)
    changed.chmod(0o755)
    changed.replace(archive)


def krew_manifest(packed: Path, version: str, python: str, address: str) -> str:
    """Return the manifest of the plugin for kubectl's plugin manager."""
    system, _, machine = sysconfig.get_platform().partition("-")
    return Template((HERE / "krew.yaml").read_text(encoding="utf-8")).substitute(
        version=version,
        uri=f"{address.rstrip('/')}/{packed.name}",
        sha256=hashlib.sha256(packed.read_bytes()).hexdigest(),
        os="darwin" if system == "macosx" else system,
        arch=MACHINES.get(machine.rpartition("-")[2], machine),
        python=python,
    )
