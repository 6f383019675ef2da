"""A visit to Langchain-Chatchat's API server: what it answers without a model. A chat would need one.

In turn its tools, a calculation by one of them, its knowledge bases, and a prompt.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from memroll_real.talking import WrongAnswer, ask

if TYPE_CHECKING:
    from collections.abc import Callable

FRESH_EACH = 4
"""One visit in so many comes over a connection of its own."""
OK = 200
_visits: defaultdict[str, itertools.count[int]] = defaultdict(itertools.count)


def visit(url: str) -> None:
    base = url.rstrip("/")
    number = next(_visits[base])
    VISITS[number % len(VISITS)](base, number)


def list_tools(base: str, number: int) -> None:
    if "calculate" not in told(ask(f"{base}/tools", keep=kept(number))):
        raise WrongAnswer("no calculator among the tools")


def calculate(base: str, number: int) -> None:
    body = {"name": "calculate", "tool_input": {"text": f"{number} * 7"}}
    answer = told(ask(f"{base}/tools/call", body, keep=kept(number)))
    if str(number * 7) not in str(answer):
        raise WrongAnswer(f"{number} * 7 is not {answer}")


def list_knowledge(base: str, number: int) -> None:
    told(ask(f"{base}/knowledge_base/list_knowledge_bases", keep=kept(number)))


def read_prompt(base: str, number: int) -> None:
    told(ask(f"{base}/server/get_prompt_template", {"type": "rag", "name": "default"}, keep=kept(number)))


VISITS: tuple[Callable[[str, int], None], ...] = (list_tools, calculate, list_knowledge, read_prompt)


def kept(number: int) -> bool:
    """Return whether a visit comes over a kept connection. Every kind of visit comes both ways."""
    return (number + number // len(VISITS)) % FRESH_EACH != 0


def told(answer: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
    """Return the data of an answer, which says in its body whether it is one."""
    if answer.get("code", OK) != OK or "data" not in answer:
        raise WrongAnswer(str(answer.get("msg", "an answer without data")))
    return answer["data"]
