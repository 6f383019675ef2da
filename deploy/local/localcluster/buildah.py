"""Images in buildah's storage: built from a folder or a Dockerfile, and exported as archives."""

from collections.abc import Sequence
from pathlib import Path

from localcluster.run import run, succeeds


def image_from_folder(name: str, folder: Path, settings: Sequence[str], archive: Path) -> None:
    """Create an image whose only layer is a folder, and write it to an archive."""
    container = run(["buildah", "from", "scratch"]).strip()
    try:
        run(["buildah", "add", "--quiet", container, folder, "/"])
        run(["buildah", "config", *settings, container])
        run(["buildah", "commit", "--quiet", container, name])
    finally:
        run(["buildah", "rm", container])
    push(name, archive)


def push(name: str, archive: Path) -> None:
    # Compressing costs more time than it saves: the archive never leaves this machine.
    run(["buildah", "push", "--quiet", "--disable-compression", name, f"oci-archive:{archive}:{name}"])


def has_image(name: str) -> bool:
    return succeeds(["buildah", "inspect", "--type", "image", name])


def image_id(name: str) -> str:
    """Return the image's id; empty if there is no such image."""
    if not has_image(name):
        return ""
    return run(["buildah", "inspect", "--type", "image", "--format", "{{.FromImageID}}", name]).strip()


def pull(name: str, archive: Path) -> None:
    """Import an image from an archive under a name."""
    found = run(["buildah", "pull", "--quiet", f"oci-archive:{archive}"]).strip().splitlines()[-1]
    run(["buildah", "tag", found, name])


def remove(name: str) -> None:
    if has_image(name):
        run(["buildah", "rmi", "--force", name])


def build_image(name: str, dockerfile: Path, context: Path, options: Sequence[str]) -> None:
    command = ["buildah", "bud", "--layers", "--runtime", "runc", "--network", "host", "--tag", name]
    certificates = ["--volume", "/etc/ssl/certs:/etc/ssl/certs:ro"]
    run([*command, *certificates, *options, "--file", dockerfile, context])
