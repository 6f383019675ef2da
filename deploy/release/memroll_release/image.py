"""The image as an OCI archive, built by buildah as for the local cluster."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from localcluster import base_image, buildah, pip_config
from localcluster.paths import BASE_IMAGE, ClusterPaths
from memroll_release.oci_archive import OciArchive
from memroll_release.run import run

if TYPE_CHECKING:
    from memroll_release.release import Release

PATTERNS = ("memroll-*.oci.tar",)
CERTIFICATES = "/etc/ssl/certs:/etc/ssl/certs:ro"


def archive_name(release: Release) -> str:
    return f"memroll-{release.version}.oci.tar"


def find_missing(release: Release) -> str:
    absent = [program for program in ("buildah", "runc") if shutil.which(program) is None]
    if absent:
        return f"there is no {' and no '.join(absent)}: install the Debian packages buildah and runc"
    if os.geteuid() != 0:
        return "buildah needs root here: run `sudo make dist ONLY=image`"
    if release.options.base == BASE_IMAGE and not (buildah.has_image(BASE_IMAGE) or _cached_base().is_file()):
        return f"the local cluster has not built {BASE_IMAGE}: run `make cluster-up`"
    return ""


def build_image(release: Release, folder: Path) -> None:
    name = f"localhost/memroll-dist:{release.version}"
    if release.options.base == BASE_IMAGE and not buildah.has_image(BASE_IMAGE):
        buildah.pull(BASE_IMAGE, _cached_base())
    archive = folder / archive_name(release)
    with tempfile.TemporaryDirectory() as configuration:
        mounts = ["--volume", CERTIFICATES, *pip_config.mount_options(os.environ, Path.home(), Path(configuration))]
        command = ["buildah", "bud", "--runtime", "runc", "--network", "host", "--tag", name, *mounts]
        dockerfile = release.root / "deploy/image/Dockerfile"
        options = [*build_options(release), "--file", dockerfile, release.root]
        run([*command, *options], cwd=release.root, environment=release.environment)
    reference = f"oci-archive:{archive}:memroll:{release.version}"
    run(["buildah", "push", "--quiet", name, reference], cwd=release.root, environment=release.environment)
    buildah.remove(name)
    OciArchive(archive).check()


def build_options(release: Release) -> list[str]:
    """Return the options by which the image of one commit on one base is always the same."""
    arguments = {"VERSION": release.version, "REVISION": release.revision}
    if release.options.base:
        arguments["BASE"] = release.options.base
    pairs = (("--build-arg", f"{name}={value}") for name, value in arguments.items())
    return ["--timestamp", str(release.epoch_s), *(word for pair in pairs for word in pair)]


def _cached_base() -> Path:
    return base_image.cached_base(ClusterPaths.from_environment(os.environ, Path.home()))
