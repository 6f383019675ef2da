"""The packaged chart renders, has both versions, and the same bytes for the same commit."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace

import pytest
import yaml

from memroll_release import chart
from memroll_release.checksums import hash_file
from memroll_release.release import Options, ReleaseError
from memroll_release.tar_files import read_tar_gz


@pytest.fixture
def helm():
    reason = chart.find_missing(None)
    if reason and os.environ.get("CI"):
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)
    return chart.find_helm(os.environ)


def package(release, folder, **options):
    folder.mkdir(exist_ok=True)
    chart.build_chart(replace(release, options=Options(**options)), folder)
    (packed,) = folder.iterdir()
    return packed


def test_the_package_renders_with_the_image_of_its_version(helm, release, folder):
    packed = package(release, folder, image="registry.example.com/memroll")
    command = [helm, "template", "memroll", packed, *chart.RENDER_OPTIONS]
    rendered = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    (deployment,) = [m for m in yaml.safe_load_all(rendered) if m and m["kind"] == "Deployment"]
    image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image == f"registry.example.com/memroll:{release.version}"


def test_only_the_repository_of_the_image_is_replaced(helm, release, tmp_path):
    plain = read_tar_gz(package(release, tmp_path / "plain"))
    published = read_tar_gz(package(release, tmp_path / "published", image="registry.example.com/memroll"))
    changed = {name for name in plain if plain[name] != published[name]}
    assert changed == {"memroll/values.yaml"}
    assert len(published["memroll/values.yaml"].splitlines()) == len(plain["memroll/values.yaml"].splitlines())


def test_the_same_commit_has_the_same_package(helm, release, tmp_path):
    first, second = (package(release, tmp_path / name) for name in ("a", "b"))
    assert hash_file(first) == hash_file(second)


def test_a_package_of_another_version_is_refused(helm, release, folder):
    packed = package(release, folder)
    with pytest.raises(ReleaseError, match=r"not \('0.9.9', '0.9.9'\): set appVersion"):
        chart.check_chart(packed, replace(release, version="0.9.9", chart_version="0.9.9"))
