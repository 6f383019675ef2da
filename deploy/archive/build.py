"""Build the self-extracting archive of `memroll` and the krew manifest for it; called by `hack/dist`.

Arguments: the folder with the installed packages, the folder of the result, the minor version of Python, and the
address from which the result is going to be served. The archive is built by shiv; its start is replaced by one that
checks the Python.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path
from string import Template

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
START = "__main__.py"
"""Name of the start of an archive, as Python requires it."""
MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
"""Name of a machine in krew by that in Python."""


def main(packages: Path, folder: Path, python: str, address: str) -> Path:
    """Build everything; return the path of the archive."""
    version = read_version()
    name = f"memroll-{version}-{sysconfig.get_platform()}-py{python.replace('.', '')}"
    archive = folder / f"{name}.pyz"
    subprocess.run(
        [
            *(Path(sys.executable).parent / "shiv", "--site-packages", packages, "--output-file", archive),
            *("--entry-point", "memroll.__main__:main", "--python", "/usr/bin/env python3", "--compressed"),
            "--reproducible",
        ],
        check=True,
    )
    add_check(archive, check_text(python, sysconfig.get_platform()))
    packed = folder / f"{name}.tar.gz"
    with tarfile.open(packed, "w:gz") as tar:
        tar.add(archive, "memroll.pyz")
        tar.add(ROOT / "LICENSE", "LICENSE")
    (folder / "memroll.yaml").write_text(krew_manifest(packed, version, python, address), encoding="utf-8")
    return archive


def read_version() -> str:
    found = re.search(r'__version__ = "([^"]+)"', (ROOT / "operator/memroll/__init__.py").read_text(encoding="utf-8"))
    assert found is not None, "the package has a version"
    return found[1]


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


if __name__ == "__main__":
    print(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4]))
