"""Builds images and loads them into the node. An unchanged image is neither built nor loaded again."""

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from localcluster import base_image, buildah, context, files, pip_config, preflight, supervisor
from localcluster.cache import UNFINISHED, Cache, hash_file, hash_parts
from localcluster.containerd import NodeImages
from localcluster.errors import ClusterError
from localcluster.lock import exclusive
from localcluster.paths import BASE_IMAGE, PAUSE_IMAGE, ClusterPaths
from localcluster.progress import Reporter
from localcluster.run import succeeds


@dataclass(frozen=True)
class ImageBuild:
    name: str
    dockerfile: Path
    context: Path
    arguments: Mapping[str, str]

    def key(self, base_key: str) -> str:
        arguments = [f"{name}={value}" for name, value in sorted(self.arguments.items())]
        return hash_parts([self.name, base_key, hash_file(self.dockerfile), context.digest(self.context), *arguments])


@dataclass(frozen=True)
class BuildMachine:
    """Environment and home folder of this machine that a build uses."""

    environment: Mapping[str, str]
    home: Path


def build(paths: ClusterPaths, build: ImageBuild, machine: BuildMachine, report: Reporter) -> None:
    preflight.require_root()
    _require_inputs(build)
    node = _node(paths)
    with exclusive(_lock(paths), report):
        key = build.key(base_image.base_key())
        if _loaded_key(paths, build.name) == key and build.name in node.list_images():
            report(f"{build.name} is unchanged")
            return
        cache = Cache(paths.cache)
        entry = cache.find(_slug(build.name), key)
        if entry is None:
            report(f"building {build.name}")
            entry = cache.make(_slug(build.name), key, lambda output: _make(paths, build, machine, output))
        node.load(build.name, entry / base_image.ARCHIVE)
        files.write(_loaded_key_file(paths, build.name), key)
        report(f"loaded {build.name}")


def load(paths: ClusterPaths, name: str, archive: Path | None, report: Reporter) -> None:
    preflight.require_root()
    node = _node(paths)
    with exclusive(_lock(paths), report), tempfile.TemporaryDirectory() as folder:
        if archive is None:
            archive = Path(folder) / base_image.ARCHIVE
            if not buildah.has_image(name):
                raise ClusterError(f"buildah has no image {name}", "build it first, or give --archive FILE")
            buildah.push(name, archive)
        if not archive.is_file():
            raise ClusterError(f"there is no file {archive}", "give the path of an OCI archive")
        node.load(name, archive)
        _loaded_key_file(paths, name).unlink(missing_ok=True)
        report(f"loaded {name}")


def remove_all(paths: ClusterPaths, report: Reporter) -> None:
    """Remove all images that this driver built from buildah's storage."""
    if not succeeds(["buildah", "--version"]):
        return
    names = [path.read_text().strip() for path in sorted(_built_names_folder(paths).glob("*"))]
    for name in (*names, PAUSE_IMAGE, BASE_IMAGE):
        buildah.remove(name)
        report(f"removed the image {name}")


def qualify_name(name: str) -> str:
    """Complete a name as buildah does: with the host `localhost`, and a tag."""
    first, slash, _ = name.partition("/")
    has_host = bool(slash) and ("." in first or ":" in first or first == "localhost")
    full = name if has_host else f"localhost/{name}"
    return full if ":" in full.rpartition("/")[2] else f"{full}:latest"


def _make(paths: ClusterPaths, build: ImageBuild, machine: BuildMachine, output: Path) -> None:
    if not buildah.has_image(BASE_IMAGE):
        buildah.pull(BASE_IMAGE, base_image.cached_base(paths))
    before = buildah.image_id(build.name)
    with tempfile.TemporaryDirectory(prefix=UNFINISHED, dir=paths.cache) as folder:
        options = pip_config.mount_options(machine.environment, machine.home, Path(folder))
        for name, value in sorted(build.arguments.items()):
            options += ["--build-arg", f"{name}={value}"]
        files.write(_built_names_folder(paths) / _slug(build.name), build.name)
        buildah.build_image(build.name, build.dockerfile, build.context, options)
    buildah.push(build.name, output / base_image.ARCHIVE)
    if before not in {"", buildah.image_id(build.name)}:
        # It has no name now. If its layers are still in use, it can't be removed, and may stay.
        succeeds(["buildah", "rmi", before])


def _require_inputs(build: ImageBuild) -> None:
    if not build.dockerfile.is_file():
        raise ClusterError(f"there is no Dockerfile {build.dockerfile}", "give its path with --file")
    if not build.context.is_dir():
        raise ClusterError(f"there is no folder {build.context}", "give the build context with --context")


def _node(paths: ClusterPaths) -> NodeImages:
    if supervisor.find_running(paths, "containerd") is None:
        raise ClusterError("the cluster is not running", "run `up` first")
    return NodeImages(paths.containerd_socket)


def _lock(paths: ClusterPaths) -> Path:
    return paths.lock.with_name(f"{paths.run.name}-images.lock")


def _slug(name: str) -> str:
    return "image-" + re.sub(r"[^A-Za-z0-9.]+", "-", name)


def _loaded_key_file(paths: ClusterPaths, name: str) -> Path:
    return paths.state / "images" / _slug(name)


def _loaded_key(paths: ClusterPaths, name: str) -> str:
    try:
        return _loaded_key_file(paths, name).read_text()
    except FileNotFoundError:
        return ""


def _built_names_folder(paths: ClusterPaths) -> Path:
    return paths.cache / "built-images"
