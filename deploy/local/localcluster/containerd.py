"""Images on the node's side, through containerd's own client."""

from dataclasses import dataclass
from pathlib import Path

from localcluster.errors import ClusterError
from localcluster.run import run

NAMESPACE = "k8s.io"


@dataclass(frozen=True)
class Node:
    socket: Path

    def images(self) -> frozenset[str]:
        return frozenset(self._ctr("images", "ls", "-q").split())

    def load(self, name: str, archive: Path) -> None:
        """Load an archive; its image goes by `name` afterwards, whatever the archive calls it."""
        before = self.images()
        output = self._ctr("images", "import", str(archive))
        now = self.images()
        if name in now and (name not in before or name in output):
            return
        found = sorted(image for image in now if image in output)
        if not found:
            remedy = "write it with `buildah push NAME oci-archive:FILE:NAME`"
            raise ClusterError(f"{archive} holds no named image", remedy)
        self._ctr("images", "tag", "--force", found[0], name)

    def _ctr(self, *arguments: str) -> str:
        return run(["ctr", "--address", str(self.socket), "--namespace", NAMESPACE, *arguments])
