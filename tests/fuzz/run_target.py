"""Run one target with atheris: `python -m tests.fuzz.run_target NAME [options of libFuzzer] [corpus folders]`.

A crash ends the process with an error, and libFuzzer writes the input into a file.
"""

from __future__ import annotations

import json
import sys
from random import Random

import atheris  # type: ignore[import-untyped, unused-ignore] # a package of its own environment

with atheris.instrument_imports(include=["memroll"]):
    from tests.fuzz.targets import TARGETS, encode

from tests.fuzz.mutations import mutate


def mutate_input(data: bytes, max_size: int, seed: int) -> bytes:
    """Mutate the decoded JSON, which stays JSON; every fourth time, and any other input, the bytes."""
    random = Random(seed)
    if random.randrange(4):
        try:
            changed = encode(mutate(json.loads(data), random))
        except (ValueError, RecursionError):
            changed = b""
        if 0 < len(changed) <= max_size:
            return changed
    return bytes(atheris.Mutate(data, max_size))


def main() -> None:
    name = sys.argv.pop(1)
    target = TARGETS[name]
    arguments = [sys.argv[0], *sys.argv[1:]]
    if target.is_json:
        atheris.Setup(arguments, target.run, custom_mutator=mutate_input)
    else:
        atheris.Setup(arguments, target.run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
