"""Cost of one operator for a large cluster, by size: `make bench-scale` (docs/scale.md)."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from localcluster.errors import ClusterError
from localcluster.progress import Progress
from tests.bench.scale import options, programs, recommender, run
from tests.bench.scale.report import table

LOGS = Path("build/bench-scale")


def main() -> int:
    given, report = options.parse(), Progress()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # or the servers would outlive it
    measure = recommender.measure if given.peer else run.measure
    try:
        found = programs.prepare(report)
        with tempfile.TemporaryDirectory(prefix="memroll-bench-", ignore_cleanup_errors=True) as folder:
            try:
                figures = asyncio.run(measure(given, found, Path(folder), report))
            finally:
                _keep_logs(Path(folder))
    except KeyboardInterrupt:
        return 130
    except (ClusterError, run.OperatorDiedError, RuntimeError) as error:
        print(f"bench-scale: {error}\nlogs: {LOGS}", file=sys.stderr)
        return 1
    print(table(figures))
    if given.json_file is not None:
        run.write_json(figures, given.json_file)
    return 0


def _keep_logs(folder: Path) -> None:
    LOGS.mkdir(parents=True, exist_ok=True)
    for file in folder.glob("*.log"):
        if file.name != "queries.log":
            shutil.copy(file, LOGS / file.name)


if __name__ == "__main__":
    sys.exit(main())
