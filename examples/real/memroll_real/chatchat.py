"""Visit to Langchain-Chatchat's API server: the requests that need no model. A chat would need one."""

from __future__ import annotations

from typing import Any

from memroll_real.json_client import JsonConnection, UnexpectedResponseError

OK = 200


def visit(url: str) -> None:
    """Request the tools, the knowledge bases and a prompt."""
    with JsonConnection(url) as connection:
        if "calculate" not in data_of(connection.request("/tools")):
            raise UnexpectedResponseError("no calculator among the tools")
        data_of(connection.request("/knowledge_base/list_knowledge_bases"))
        data_of(connection.request("/server/get_prompt_template", {"type": "rag", "name": "default"}))


def data_of(response: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
    """Return the data of a response. Errors have a code in the body, not in the HTTP status."""
    if response.get("code", OK) != OK or "data" not in response:
        raise UnexpectedResponseError(str(response.get("msg", "no data in the response")))
    return response["data"]
