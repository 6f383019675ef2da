"""No text installs a package or an image by a name that is not registered for memroll: a stranger could register it."""

from __future__ import annotations

import re

import pytest

from tests.texts import ROOT, all_texts

INSTALLERS = re.compile(
    r"\b(?:pip3?|pipx|uv(?: pip| tool)?|poetry|conda|brew|krew|apt(?:-get)?)\s+(?:install|add|run|upgrade)\b"
    r"|\buvx\b|\b(?:docker|podman|crictl) (?:pull|run)\b"
)
OURS = re.compile(
    r"(?<![\w./@:=-])['\"]?memroll(?:-probe)?(?:\[\w+\]|[=<>~]=?[\d.]+|:[\d.v]+)?['\"]?(?=\s|$|`|\)|\.\s)"
)
"""A name of ours without a path, a registry or an option before it."""


def commands_by_bare_name(text):
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    found = ((line, INSTALLERS.search(line)) for line in lines)
    return [line for line, start in found if start and OURS.search(line, start.end())]


@pytest.mark.parametrize(
    "command",
    ["pip install memroll", "pip install 'memroll[report]'", "pipx install memroll==0.1.0", "uv tool install memroll",
     "docker pull memroll:0.1.0", "kubectl krew install memroll", "uvx memroll"],
)  # fmt: skip
def test_a_command_with_a_bare_name_is_found(command):
    assert commands_by_bare_name(f"Run `{command}`.")


@pytest.mark.parametrize(
    "command",
    ["pip install '.[report]'", "pip install ./memroll-0.1.0-py3-none-any.whl", "pip install dist/memroll-0.1.0.whl",
     "docker pull REGISTRY/memroll:0.1.0", "kubectl krew install --manifest=dist/memroll.yaml"],
)  # fmt: skip
def test_a_command_with_a_file_or_a_registry_is_not(command):
    assert commands_by_bare_name(f"Run `{command}`.") == []


def test_no_page_and_no_message_installs_by_a_bare_name():
    pages = [p for pattern in ("*.md", "docs/**/*.md", "deploy/**/*.md", "probe/**/*.md", "examples/**/*.md") for p in
             ROOT.glob(pattern)]  # fmt: skip
    texts = {page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8") for page in pages}
    named = [f"{name}: {line}" for name, text in texts.items() for line in commands_by_bare_name(text)]
    messages = [f"{text.path}: {text.text}" for text in all_texts() if text.path.startswith(("operator/", "probe/"))
                and commands_by_bare_name(text.text)]  # fmt: skip
    assert [*named, *messages] == []
