"""The image is built with fixed times and labels, and the machine is checked first."""

from __future__ import annotations

from dataclasses import replace

from localcluster.paths import BASE_IMAGE
from memroll_release import image
from memroll_release.release import Options
from tests.unit.release.conftest import EPOCH_S


def test_the_image_has_the_time_and_the_version_of_the_commit(release):
    options = image.build_options(replace(release, revision="abc"))
    assert options[:2] == ["--timestamp", str(EPOCH_S)]
    assert options[2:] == ["--build-arg", f"VERSION={release.version}", "--build-arg", "REVISION=abc"]


def test_another_base_image_is_passed_on(release):
    assert "BASE=debian" in image.build_options(replace(release, options=Options(base="debian")))


def test_a_missing_program_is_named_with_the_remedy(release, monkeypatch):
    monkeypatch.setattr(image.shutil, "which", lambda name: None if name == "buildah" else name)
    assert image.find_missing(release) == "there is no buildah: install the Debian packages buildah and runc"


def test_a_build_without_root_is_reported(release, monkeypatch):
    monkeypatch.setattr(image.shutil, "which", lambda name: name)
    monkeypatch.setattr(image.os, "geteuid", lambda: 1000)
    assert image.find_missing(release) == "buildah needs root here: run `sudo make dist ONLY=image`"


def test_a_base_that_the_local_cluster_has_not_built_is_reported(release, monkeypatch, tmp_path):
    monkeypatch.setattr(image.shutil, "which", lambda name: name)
    monkeypatch.setattr(image.os, "geteuid", lambda: 0)
    monkeypatch.setattr(image.buildah, "has_image", lambda _: False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    reason = image.find_missing(replace(release, options=Options(base=BASE_IMAGE)))
    assert reason == f"the local cluster has not built {BASE_IMAGE}: run `make cluster-up`"
