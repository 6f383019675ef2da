"""The shape of the repository, where a wrong one breaks things far away."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_the_source_root_never_becomes_a_package():
    assert not (ROOT / "operator" / "__init__.py").exists(), "it would shadow the standard library's operator"


def test_the_standard_library_s_operator_is_found_from_the_repository_root():
    code = "import operator, sys; sys.exit(not hasattr(operator, 'itemgetter'))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_requirements_are_pinned_by_hash_and_name_no_index():
    for name in (
        "requirements.txt",
        "requirements-build.txt",
        "requirements-dev.txt",
        "requirements-fuzz.txt",
        "examples/systems/requirements.txt",
    ):
        lines = [line.strip() for line in (ROOT / name).read_text().splitlines() if line.strip() and line[0] != "#"]
        assert lines, name
        for line in lines:
            assert line.startswith("--hash=sha256:") or "==" in line, f"{name}: {line}"
            assert "://" not in line, f"{name}: {line}"


def test_the_command_is_on_the_path_of_the_image():
    dockerfile = (ROOT / "deploy/image/Dockerfile").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "python3 -m venv --without-pip /opt/memroll" in dockerfile
    assert "PATH=/opt/memroll/bin:$PATH" in dockerfile
    assert {"memroll", "kubectl-memroll"} <= set(project["scripts"])


def test_the_namespace_of_the_first_policy_is_created_before_it():
    for page in ("README.md", "docs/install.md"):
        text = (ROOT / page).read_text()
        (namespace,) = re.findall(r"^metadata: \{name: chat, namespace: (\w+)\}", text, re.MULTILINE)
        assert f"kubectl create namespace {namespace}" in text, page
