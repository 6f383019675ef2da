"""Lock that lets one driver run at a time. The kernel releases it when its holder ends, also by a signal."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from localcluster.progress import Reporter


@contextmanager
def exclusive(path: Path, report: Reporter) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report(f"waiting for another run to finish ({path})")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
