import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from localcluster import go_build
from localcluster.lock import exclusive

HOLDER = """\
import pathlib, sys, time
from localcluster.lock import exclusive
with exclusive(pathlib.Path(sys.argv[1]), print):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


@contextmanager
def lock_holder(lock: Path, seconds: float) -> Iterator[subprocess.Popen[bytes]]:
    source = str(Path(go_build.__file__).parents[1])
    command = [sys.executable, "-c", HOLDER, str(lock), str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={"PYTHONPATH": source}) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process


def test_a_second_run_waits_for_the_first_and_reports_it(tmp_path: Path, progress: list[str]) -> None:
    lock = tmp_path / "lock"
    with lock_holder(lock, 0.5):
        start = time.monotonic()
        with exclusive(lock, progress.append):
            waited = time.monotonic() - start
    assert waited > 0.2
    assert progress == [f"waiting for another run to finish ({lock})"]


def test_the_lock_of_a_killed_run_is_free(tmp_path: Path, progress: list[str]) -> None:
    with lock_holder(tmp_path / "lock", 600) as process:
        process.kill()
        process.wait()
        with exclusive(tmp_path / "lock", progress.append):
            pass
    assert progress == []
