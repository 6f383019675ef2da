"""The distribution is self-contained: standard library only, Python 3.10, and a complete wheel."""

from __future__ import annotations

import ast
import subprocess
import sys
import zipfile

import pytest

from tests.unit.probe.harness import ROOT

SOURCES = sorted((ROOT / "probe/memroll_probe").rglob("*.py"))
MIN_PYTHON = (3, 10)


def imported(source):
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


@pytest.mark.parametrize("source", SOURCES, ids=lambda s: s.stem)
def test_it_imports_the_standard_library_only(source):
    allowed = {*sys.stdlib_module_names, "memroll_probe"}
    assert {name.partition(".")[0] for name in imported(source)} <= allowed


@pytest.mark.parametrize("source", SOURCES, ids=lambda s: s.stem)
def test_it_is_valid_syntax_for_the_oldest_supported_python(source):
    ast.parse(source.read_text(encoding="utf-8"), feature_version=MIN_PYTHON)


def test_the_operator_does_not_import_the_probe():
    for source in (ROOT / "operator").rglob("*.py"):
        assert not [name for name in imported(source) if name.startswith("memroll_probe")], source


def test_the_wheel_holds_the_package_and_nothing_else(tmp_path):
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT / "probe", check=True, capture_output=True)
    (wheel,) = tmp_path.glob("memroll_probe-*-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata = archive.read(next(n for n in names if n.endswith("METADATA"))).decode()
    package = {n for n in names if not n.split("/")[0].endswith(".dist-info")}
    sources = {s.relative_to(ROOT / "probe").as_posix() for s in SOURCES}
    assert package == {*sources, "memroll_probe/py.typed"}
    assert "Requires-Dist" not in metadata
    assert any(n.endswith("licenses/LICENSE") for n in names)
