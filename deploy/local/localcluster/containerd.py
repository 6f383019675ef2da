"""Images on the node, managed by containerd's own client `ctr`."""

from dataclasses import dataclass
from pathlib import Path

from localcluster.errors import ClusterError
from localcluster.run import run

NAMESPACE = "k8s.io"


@dataclass(frozen=True)
class NodeImages:
    socket: Path

    def list_images(self) -> frozenset[str]:
        return frozenset(self._ctr("images", "ls", "-q").split())

    def load(self, name: str, archive: Path) -> None:
        """Load an archive. Its image gets the name `name`, whatever its name in the archive is."""
        before = self.list_images()
        output = self._ctr("images", "import", str(archive))
        after = self.list_images()
        if name in after and (name not in before or name in output):
            return
        found = sorted(image for image in after if image in output)
        if not found:
            remedy = "write it with `buildah push NAME oci-archive:FILE:NAME`"
            raise ClusterError(f"{archive} holds no named image", remedy)
        self._ctr("images", "tag", "--force", found[0], name)

    def _ctr(self, *arguments: str) -> str:
        return run(["ctr", "--address", str(self.socket), "--namespace", NAMESPACE, *arguments])
