"""Examples in the docs: each command with its options exists, and each policy, roll and YAML text is valid."""

from __future__ import annotations

import re
import shlex
from typing import Any

import click
import pytest
import yaml

from memroll.api.pod_roll import PodRoll
from memroll.api.policy import MemoryPolicy, PolicySpec
from memroll.cli.app import ENTRIES, memroll
from tests.builders import policy_json, roll_json
from tests.doc_blocks import blocks, is_shortened, pages
from tests.texts import ROOT

INLINE = re.compile(r"`((?:kubectl )?memroll [^`]+)`")
CALL = re.compile(r"(?:^|\$ |-- |kubectl |\| |; |&& )memroll ([a-z]+(?: .*)?)$")
SUBSTITUTION = re.compile(r"\$\([^()]*\)")
END = re.compile(r"\s*(?:\\?[|;&>]|\d>|#).*$")
"""Everything behind the arguments of a command."""


def calls() -> list[tuple[str, str]]:
    """Return page and arguments of each call of memroll in the docs."""
    lines = [
        (page, line.removeprefix("$ "))
        for language in ("sh", "bash", "console")
        for page, text in blocks(language)
        for line in text.replace("\\\n", " ").splitlines()
        if language != "console" or line.startswith("$ ")
    ]
    for page in pages():
        text = (ROOT / page).read_text(encoding="utf-8")
        lines += [(page, " ".join(span.split())) for span in INLINE.findall(text)]
    found = [(page, CALL.search(SUBSTITUTION.sub("X", line))) for page, line in lines]
    return sorted({(page, END.sub("", match.group(1))) for page, match in found if match})


def options_of(command: click.Command) -> set[str]:
    return {name for parameter in command.params for name in parameter.opts} | {"--help", "-h"}


def test_calls_and_blocks_are_found():
    assert len(calls()) > 40
    assert len(blocks("yaml")) > 20


@pytest.mark.parametrize(("page", "call"), calls())
def test_a_documented_command_exists_with_its_options(page, call):
    name, *arguments = shlex.split(call)
    assert name in ENTRIES, page
    command = memroll.get_command(click.Context(memroll), name)
    assert command
    options = [a.partition("=")[0] for a in arguments if re.match(r"-{1,2}[A-Za-z]", a)]
    assert [option for option in options if option not in options_of(command)] == []


@pytest.mark.parametrize(("page", "text"), blocks("yaml"))
def test_a_yaml_example_is_valid(page, text):
    if is_shortened(text):
        pytest.skip("shortened")
    for document in yaml.safe_load_all(text):
        if isinstance(document, dict):
            check(document)


def check(document: dict[str, Any]) -> None:
    """Read an object of memroll, or a part of a policy, as the operator does."""
    if document.get("apiVersion") == "memroll.dev/v1alpha1":
        if document["kind"] == "MemoryPolicy":
            MemoryPolicy.read(policy_json(document["spec"]))
        else:
            PodRoll.read(roll_json(spec=document["spec"]))
    elif set(document) <= {"roll", "growth", "exhaustion", "load", "usageThreshold"}:
        PolicySpec.model_validate({"mode": "Observe", "selector": {"matchLabels": {"a": "b"}}} | document)
