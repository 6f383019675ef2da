"""A visit to Langchain-Chatchat's API server: what it answers without a model. A chat would need one."""

from __future__ import annotations

from typing import Any

from memroll_real.talking import Talk, WrongAnswer

OK = 200


def visit(url: str) -> None:
    """Look at the tools, at the knowledge bases and at a prompt."""
    with Talk(url) as talk:
        if "calculate" not in told(talk.ask("/tools")):
            raise WrongAnswer("no calculator among the tools")
        told(talk.ask("/knowledge_base/list_knowledge_bases"))
        told(talk.ask("/server/get_prompt_template", {"type": "rag", "name": "default"}))


def told(answer: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
    """Return the data of an answer, which says in its body whether it is one."""
    if answer.get("code", OK) != OK or "data" not in answer:
        raise WrongAnswer(str(answer.get("msg", "an answer without data")))
    return answer["data"]
