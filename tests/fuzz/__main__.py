"""Fuzz all targets one after the other, for a number of minutes in total; print a table, fail if one crashed.

New inputs that reach other code are kept in `build/fuzz/<target>/corpus`, inputs that crash in `build/fuzz/<target>`.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"
BUILD = Path("build/fuzz")
MAX_INPUT_BYTES = 65_536
"""Maximum size of an input, in bytes; chosen by hand."""
MAX_INPUT_S = 5
"""Time limit for one input in seconds, chosen by hand: the process is instrumented, and the machine may be busy."""
MAX_MIB = 2048
"""Limit of the memory of a fuzzing process in MiB, chosen by hand."""


@dataclass(frozen=True, slots=True)
class Result:
    """Result of fuzzing one target."""

    name: str
    executions: int
    coverage: int
    crashes: tuple[Path, ...]
    output: str


def fuzz(name: str, seconds: float) -> Result:
    folder = BUILD / name
    found = folder / "corpus"
    found.mkdir(parents=True, exist_ok=True)
    before = set(folder.glob("*-*"))
    limits = (f"-max_total_time={max(1, round(seconds))}", f"-timeout={MAX_INPUT_S}", f"-rss_limit_mb={MAX_MIB}")
    options = (*limits, f"-max_len={MAX_INPUT_BYTES}", f"-artifact_prefix={folder}/", "-print_final_stats=1")
    command = [sys.executable, "-m", "tests.fuzz.run_target", name, *options, str(found), str(CORPUS / name)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    output = done.stdout + done.stderr
    crashes = tuple(sorted(set(folder.glob("*-*")) - before))
    if done.returncode and not crashes:
        raise SystemExit(f"the fuzzer of {name} failed:\n{output[-3000:]}")
    executions, coverage = (_last(p, output) for p in (r"number_of_executed_units: (\d+)", r"cov: (\d+)"))
    return Result(name, executions, coverage, crashes, output)


def _last(pattern: str, output: str) -> int:
    return int((re.findall(pattern, output) or ["0"])[-1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("targets", nargs="*", default=[])
    arguments = parser.parse_args()
    names = arguments.targets or list(TARGETS)
    if unknown := set(names) - set(TARGETS):
        parser.error(f"unknown targets {', '.join(sorted(unknown))}; targets are: {', '.join(TARGETS)}")
    print(f"{'TARGET':<12}{'EXECUTIONS':>12}{'COVERAGE':>10}  CRASHES", flush=True)
    crashed = 0
    for name in names:
        result = fuzz(name, 60 * arguments.minutes / len(names))
        crashed += len(result.crashes)
        print(f"{name:<12}{result.executions:>12}{result.coverage:>10}  {len(result.crashes)}", flush=True)
        for path in result.crashes:
            print(f"  {path}: copy it to {CORPUS.relative_to(Path.cwd()) / name} with its fix", flush=True)
        if result.crashes:
            print(_traceback(result.output), flush=True)
    return 1 if crashed else 0


def _traceback(output: str) -> str:
    """Return the Python traceback of a crash, without libFuzzer's own output."""
    begin = output.rfind("=== Uncaught Python exception")
    return output[begin:][:3000] if begin >= 0 else output[-1500:]


if __name__ == "__main__":
    sys.exit(main())
