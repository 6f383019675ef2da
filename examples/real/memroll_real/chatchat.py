"""A visit to Langchain-Chatchat's API server: what it answers without a model. A chat would need one."""

from __future__ import annotations

import itertools
from collections import defaultdict
from typing import Any

from memroll_real.talking import Talk, WrongAnswer

OK = 200
_visits: defaultdict[str, itertools.count[int]] = defaultdict(itertools.count)


def visit(url: str) -> None:
    """Look at the tools, have one of them calculate, look at the knowledge bases and at a prompt."""
    number = next(_visits[url])
    with Talk(url) as talk:
        if "calculate" not in told(talk.ask("/tools")):
            raise WrongAnswer("no calculator among the tools")
        product = told(talk.ask("/tools/call", {"name": "calculate", "tool_input": {"text": f"{number} * 7"}}))
        if str(number * 7) not in str(product):
            raise WrongAnswer(f"{number} * 7 is not {product}")
        told(talk.ask("/knowledge_base/list_knowledge_bases"))
        told(talk.ask("/server/get_prompt_template", {"type": "rag", "name": "default"}))


def told(answer: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
    """Return the data of an answer, which says in its body whether it is one."""
    if answer.get("code", OK) != OK or "data" not in answer:
        raise WrongAnswer(str(answer.get("msg", "an answer without data")))
    return answer["data"]
