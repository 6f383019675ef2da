"""Builds images and loads them into the node. What has not changed is neither built nor loaded again."""

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from localcluster import baseimage, buildah, context, files, pip_config, preflight, process
from localcluster.cache import UNFINISHED, Cache, hash_file, hash_parts
from localcluster.containerd import Node
from localcluster.errors import ClusterError
from localcluster.layout import BASE_IMAGE, PAUSE_IMAGE, Layout
from localcluster.lock import exclusive
from localcluster.report import Report
from localcluster.run import succeeds


@dataclass(frozen=True)
class Build:
    name: str
    dockerfile: Path
    context: Path
    arguments: Mapping[str, str]

    def key(self, base_key: str) -> str:
        arguments = [f"{name}={value}" for name, value in sorted(self.arguments.items())]
        return hash_parts([self.name, base_key, hash_file(self.dockerfile), context.digest(self.context), *arguments])


@dataclass(frozen=True)
class Machine:
    """What a build takes over from the machine it runs on."""

    environment: Mapping[str, str]
    home: Path


def build(layout: Layout, build: Build, machine: Machine, report: Report) -> None:
    preflight.require_root()
    _require_input(build)
    node = _node(layout)
    with exclusive(_lock(layout), report):
        key = build.key(baseimage.base_key())
        if _loaded_key(layout, build.name) == key and build.name in node.images():
            report(f"{build.name} is unchanged")
            return
        cache = Cache(layout.cache)
        entry = cache.find(_slug(build.name), key)
        if entry is None:
            report(f"building {build.name}")
            entry = cache.make(_slug(build.name), key, lambda output: _make(layout, build, machine, output))
        node.load(build.name, entry / baseimage.ARCHIVE)
        files.write(_record(layout, build.name), key)
        report(f"loaded {build.name}")


def load(layout: Layout, name: str, archive: Path | None, report: Report) -> None:
    preflight.require_root()
    node = _node(layout)
    with exclusive(_lock(layout), report), tempfile.TemporaryDirectory() as folder:
        if archive is None:
            archive = Path(folder) / baseimage.ARCHIVE
            if not buildah.has(name):
                raise ClusterError(f"buildah has no image {name}", "build it first, or give --archive FILE")
            buildah.push(name, archive)
        if not archive.is_file():
            raise ClusterError(f"there is no file {archive}", "give the path of an OCI archive")
        node.load(name, archive)
        _record(layout, name).unlink(missing_ok=True)
        report(f"loaded {name}")


def forget_all(layout: Layout, report: Report) -> None:
    """Remove from the builder what this driver put there."""
    if not succeeds(["buildah", "--version"]):
        return
    names = [path.read_text().strip() for path in sorted(_built(layout).glob("*"))]
    for name in (*names, PAUSE_IMAGE, BASE_IMAGE):
        buildah.remove(name)
        report(f"removed the image {name}")


def qualified(name: str) -> str:
    """Complete a name the way buildah does: with the host `localhost`, and a tag."""
    first, slash, _ = name.partition("/")
    has_host = bool(slash) and ("." in first or ":" in first or first == "localhost")
    full = name if has_host else f"localhost/{name}"
    return full if ":" in full.rpartition("/")[2] else f"{full}:latest"


def _make(layout: Layout, build: Build, machine: Machine, output: Path) -> None:
    if not buildah.has(BASE_IMAGE):
        buildah.pull(BASE_IMAGE, baseimage.cached(layout))
    before = buildah.image_id(build.name)
    with tempfile.TemporaryDirectory(prefix=UNFINISHED, dir=layout.cache) as folder:
        options = pip_config.mount_options(machine.environment, machine.home, Path(folder))
        for name, value in sorted(build.arguments.items()):
            options += ["--build-arg", f"{name}={value}"]
        files.write(_built(layout) / _slug(build.name), build.name)
        buildah.bud(build.name, build.dockerfile, build.context, options)
    buildah.push(build.name, output / baseimage.ARCHIVE)
    if before not in {"", buildah.image_id(build.name)}:
        # It is nameless now; one whose layers are still in use refuses to go, and may stay.
        succeeds(["buildah", "rmi", before])


def _require_input(build: Build) -> None:
    if not build.dockerfile.is_file():
        raise ClusterError(f"there is no Dockerfile {build.dockerfile}", "give its path with --file")
    if not build.context.is_dir():
        raise ClusterError(f"there is no folder {build.context}", "give the build context with --context")


def _node(layout: Layout) -> Node:
    if process.running(layout, "containerd") is None:
        raise ClusterError("the cluster is not running", "run `up` first")
    return Node(layout.containerd_socket)


def _lock(layout: Layout) -> Path:
    return layout.lock.with_name(f"{layout.run.name}-images.lock")


def _slug(name: str) -> str:
    return "image-" + re.sub(r"[^A-Za-z0-9.]+", "-", name)


def _record(layout: Layout, name: str) -> Path:
    return layout.state / "images" / _slug(name)


def _loaded_key(layout: Layout, name: str) -> str:
    try:
        return _record(layout, name).read_text()
    except FileNotFoundError:
        return ""


def _built(layout: Layout) -> Path:
    return layout.cache / "built-images"
