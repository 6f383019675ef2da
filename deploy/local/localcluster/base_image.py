"""Builds the two images that the node needs: `pause` for every pod, and a Debian with Python for everything else.

Both are cached as archives, so a new cluster loads them and builds nothing. Called by prepare and images.
"""

import inspect
import json
import shutil
from collections.abc import Callable
from pathlib import Path

from localcluster import buildah, debian
from localcluster.cache import Cache, hash_file, hash_parts, remove_tree
from localcluster.paths import BASE_IMAGE, PAUSE_IMAGE, ClusterPaths
from localcluster.progress import Reporter
from localcluster.run import run

PACKAGES = ("ca-certificates", "python3", "python3-pip", "python3-venv")
ARCHIVE = "image.tar"
TRIMMED = (
    "usr/share/doc",
    "usr/share/info",
    "usr/share/locale",
    "usr/share/man",
    "var/cache/apt",
    "var/lib/apt/lists",
    "var/log",
)


def ensure_base(paths: ClusterPaths, report: Reporter) -> Path:
    """Return the archive of the Debian image; build it if it is not cached."""
    cache = Cache(paths.cache)
    key = base_key()
    entry = cache.find("base-image", key)
    if entry is None:
        report(f"building the base image: Debian {debian.SUITE} with {', '.join(PACKAGES)}")
        entry = cache.make("base-image", key, lambda output: _make_base(output, paths.build_logs / "debootstrap.log"))
        report("built the base image")
    return entry / ARCHIVE


def base_key() -> str:
    return hash_parts([debian.SUITE, *PACKAGES, *TRIMMED, *_sources(_make_base, _trim)])


def cached_base(paths: ClusterPaths) -> Path:
    """Return the archive of the Debian image that `up` has built."""
    return Cache(paths.cache).path("base-image", base_key()) / ARCHIVE


def ensure_pause(paths: ClusterPaths, program: Path) -> Path:
    """Return the archive of the pause image; build it if it is not cached."""
    cache = Cache(paths.cache)
    key = hash_parts([hash_file(program / "pause"), *_sources(_make_pause)])
    entry = cache.find("pause-image", key)
    if entry is None:
        entry = cache.make("pause-image", key, lambda output: _make_pause(output, program / "pause"))
    return entry / ARCHIVE


def _sources(*steps: Callable[..., None]) -> list[str]:
    """Return the source of build steps, as part of a cache key: an edit of such a function builds the image again."""
    return [inspect.getsource(step) for step in steps]


def _make_base(output: Path, log: Path) -> None:
    archive = debian.archive()
    root = output / "root"
    include = f"--include={','.join(PACKAGES)}"
    command: list[str | Path] = ["debootstrap", "--variant=minbase", include, archive.suite, root, archive.mirror]
    run(command, env=debian.download_environment(), log=log)
    _trim(root)
    settings = [
        "--env=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "--env=LANG=C.UTF-8",
        "--cmd=" + json.dumps(["python3"]),
    ]
    buildah.image_from_folder(BASE_IMAGE, root, settings, output / ARCHIVE)
    remove_tree(root)


def _trim(root: Path) -> None:
    for folder in TRIMMED:
        shutil.rmtree(root / folder, ignore_errors=True)
        (root / folder).mkdir(parents=True)
    # pip's settings for this machine are mounted over this file while an image is built, and only then.
    (root / "etc/pip.conf").touch()
    # debootstrap copies the machine's own names and servers.
    for name in ("etc/hostname", "etc/resolv.conf"):
        (root / name).unlink(missing_ok=True)
        (root / name).touch()


def _make_pause(output: Path, binary: Path) -> None:
    root = output / "root"
    root.mkdir()
    shutil.copy2(binary, root / "pause")
    buildah.image_from_folder(PAUSE_IMAGE, root, ["--entrypoint=" + json.dumps(["/pause"])], output / ARCHIVE)
    remove_tree(root)
