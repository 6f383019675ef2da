import re
from dataclasses import replace
from pathlib import Path

import pytest

from localcluster import go_build
from localcluster.errors import ClusterError
from localcluster.kubernetes_version import DEFAULT, KubernetesVersion
from localcluster.paths import ClusterPaths


@pytest.mark.parametrize(
    ("program", "version"), [("kubernetes", r"v1\.35\.\d+"), ("helm", r"v3\.22\.0")], ids=["kubernetes", "helm"]
)
def test_the_repository_pins_the_versions(paths: ClusterPaths, program: str, version: str) -> None:
    chosen = next(one for one in go_build.PROGRAMS if one.name == program)
    go_mod = (paths.source / program / "go.mod").read_text()
    flags = go_build.link_flags(chosen, go_mod)
    assert flags.startswith("-s -w -X ")
    assert re.search(f"ersion={version}( |$)", flags)


def test_a_module_without_its_pin_is_an_error() -> None:
    with pytest.raises(ClusterError, match=r"go\.mod does not pin k8s\.io/kubernetes; restore"):
        go_build.pinned_version("module x\n\nrequire k8s.io/kubernetes-like v1.0.0\n", "k8s.io/kubernetes")


def test_the_key_of_a_program_depends_on_its_sources_and_the_compiler(tmp_path: Path) -> None:
    program = go_build.PROGRAMS[0]
    (tmp_path / "main.go").write_text("package main")
    before = go_build.cache_key(program, tmp_path, "go1.26.0")
    assert go_build.cache_key(program, tmp_path, "go1.26.1") != before
    (tmp_path / "main.go").write_text("package main // changed")
    assert go_build.cache_key(program, tmp_path, "go1.26.0") != before


def test_each_version_of_kubernetes_is_a_program_of_its_own_and_the_default_keeps_its_key() -> None:
    assert repr(go_build.programs(DEFAULT)) == repr(go_build.PROGRAMS)
    default, old = (go_build.programs(version)[-1] for version in (DEFAULT, KubernetesVersion(1, 30)))
    assert default.name == "kubernetes"
    assert old == replace(default, name="kubernetes-1.30")
    assert go_build.cache_key(default, Path("/none"), "go1.26.0") != go_build.cache_key(old, Path("/none"), "go1.26.0")


def test_a_version_may_need_a_newer_compiler(tmp_path: Path) -> None:
    for folder, version in {
        "pause": "1.22",
        "helm": "1.25.0",
        "kubernetes": "1.25.0",
        "kubernetes-1.37": "1.26.0",
    }.items():
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "go.mod").write_text(f"module x\n\ngo {version}\n")
    assert go_build.required_version(tmp_path) == "1.25.0"
    assert go_build.required_version(tmp_path, KubernetesVersion(1, 37)) == "1.26.0"


def write_go(folder: Path, version: str) -> None:
    (folder / "go").write_text(f"#!/bin/sh\necho go version {version} linux/amd64\n")
    (folder / "go").chmod(0o755)


@pytest.mark.parametrize("version", ["go1.19.8", "go1.9", "devel"])
def test_an_old_compiler_is_an_error_with_the_required_version(
    paths: ClusterPaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    write_go(tmp_path, version)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    wanted = go_build.required_version(paths.source)
    with pytest.raises(ClusterError, match=rf"{version} linux/amd64; install Go {wanted} or newer"):
        go_build.compiler_version(paths.source)


def test_without_a_compiler_the_remedy_is_to_install_one(
    paths: ClusterPaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ClusterError, match="there is no `go` on the PATH; install Go"):
        go_build.compiler_version(paths.source)
