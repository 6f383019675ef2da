"""Components of a flow. Each is created for one run and keeps the artifact that it has built."""

from __future__ import annotations

import hashlib

PASSAGE_CHARS = 4096
PASSAGES = 12
TEMPLATE = """You are a helpful assistant in session {session}. Use what was retrieved, and nothing else.

# Retrieved
{retrieved}

# Question
{question}
"""


class Component:
    """Node of a flow."""

    def __init__(self, session: str, question: str) -> None:
        self.session, self.question = session, question
        self.artifact = ""

    async def build(self, inputs: list[str]) -> str:
        """Build the artifact from the inputs' artifacts; by default, pass on the last one."""
        self.artifact = inputs[-1]
        return self.artifact


class ChatInput(Component):
    async def build(self, inputs: list[str]) -> str:
        assert not inputs, "the first component of a flow has no inputs"
        self.artifact = self.question
        return self.artifact


class Retriever(Component):
    """Finds passages, and returns their names; the prompt quotes them."""

    async def build(self, inputs: list[str]) -> str:
        found = hashlib.sha256(inputs[-1].encode()).hexdigest()
        self.artifact = " ".join(found[start : start + 4] for start in range(0, 4 * PASSAGES, 4))
        return self.artifact


class Prompt(Component):
    async def build(self, inputs: list[str]) -> str:
        passages = "\n".join(passage(name) for name in inputs[-1].split())
        self.artifact = TEMPLATE.format(session=self.session, question=self.question, retrieved=passages)  # the leak
        return self.artifact


class Model(Component):
    async def build(self, inputs: list[str]) -> str:
        self.artifact = f"I have read {len(inputs[-1])} characters, and the answer to {self.question!r} is 42."
        return self.artifact


class ChatOutput(Component):
    """Passes on its input."""


KINDS: dict[str, type[Component]] = {kind.__name__: kind for kind in (ChatInput, Retriever, Prompt, Model, ChatOutput)}


def make_component(vertex: str, session: str, question: str) -> Component:
    return KINDS[vertex](session, question)


def passage(name: str) -> str:
    return f"[{name}] ".ljust(PASSAGE_CHARS, name[0])
