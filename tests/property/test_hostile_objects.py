"""Each reader returns a value or raises its documented error, whatever a tenant wrote.

The inputs are derived from valid objects by mutation: wrong types, missing keys, deep nesting, huge texts and numbers.
`make fuzz` runs the same targets guided by coverage; the inputs that it found are in `tests/fuzz/corpus`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.mutations import mutate
from tests.fuzz.targets import TARGETS, encode

if TYPE_CHECKING:
    from random import Random

CORPUS = Path(__file__).parents[1] / "fuzz/corpus"
MAX_FILE_BYTES = 16_384
"""Maximum size of a file of the corpus, in bytes; chosen by hand."""
MUTATED = [name for name, target in TARGETS.items() if target.is_json]
NOISE = st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: raw.decode(errors="surrogateescape"))


@pytest.mark.parametrize("name", MUTATED)
@given(random=st.randoms(use_true_random=False), which=st.integers(0, 9))
@settings(max_examples=250, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None)
def test_a_mutated_object_raises_only_documented_errors(name: str, random: Random, which: int) -> None:
    target = TARGETS[name]
    valid = json.loads(target.seeds[which % len(target.seeds)])
    target.run(encode(mutate(valid, random)))


@pytest.mark.parametrize("name", [name for name in TARGETS if name not in MUTATED])
@given(at=st.integers(0, 300), noise=NOISE, times=st.sampled_from([1, 1, 3, 1000]), which=st.integers(0, 9))
@settings(max_examples=150, deadline=None)
def test_a_mutated_text_raises_only_documented_errors(name: str, at: int, noise: str, times: int, which: int) -> None:
    target = TARGETS[name]
    seed = target.seeds[which % len(target.seeds)].decode()
    text = seed[:at] + noise * times + seed[at:]
    target.run(text.encode(errors="surrogateescape"))


@pytest.mark.parametrize("name", TARGETS)
@given(raw=st.binary(max_size=300))
@settings(max_examples=60, deadline=None)
def test_arbitrary_bytes_raise_only_documented_errors(name: str, raw: bytes) -> None:
    TARGETS[name].run(raw)


@pytest.mark.parametrize("name", TARGETS)
def test_valid_objects_and_the_inputs_that_the_fuzzer_found_are_read(name: str) -> None:
    files = sorted((CORPUS / name).iterdir())
    assert files, "each target has a corpus"
    for raw in (*TARGETS[name].seeds, *(file.read_bytes() for file in files)):
        TARGETS[name].run(raw)


def test_the_corpus_is_small_and_belongs_to_the_targets() -> None:
    assert {folder.name for folder in CORPUS.iterdir()} == set(TARGETS)
    sizes = {f"{file.parent.name}/{file.name}": file.stat().st_size for file in CORPUS.glob("*/*")}
    assert {name: size for name, size in sizes.items() if size > MAX_FILE_BYTES} == {}
