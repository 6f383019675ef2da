"""Visit to LangFlow: a chat over its own API. Chat Input + Message History -> Prompt -> Chat Output, without a model.

The first visit to a server logs in, creates a key, and creates the flow from the server's own component templates.
Both are stored in its database, so a replacement pod has them as well.
"""

from __future__ import annotations

import copy
import itertools
import json
import secrets
import threading
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from memroll_real.json_client import JsonConnection, UnexpectedResponseError

Json = dict[str, Any]

QUESTIONS = 3
"""Number of questions per session: each answer contains the history, so the size doubles with each question."""
PROMPT = "History:\n{history}\n\nUser: {question}\nAI:"
RUN = secrets.token_hex(4)
"""Prefix that distinguishes the sessions of this load from those of an earlier one."""


@dataclass(frozen=True)
class ChatFlow:
    """Flow that answers chat messages: its API path and key."""

    path: str
    key: str


@dataclass(frozen=True)
class FlowNode:
    """Component in a flow."""

    name: str
    component: str
    template: Json

    def as_json(self) -> Json:
        data = {"id": self.name, "type": self.component, "node": self.template}
        return {"id": self.name, "type": "genericNode", "position": {"x": 0, "y": 0}, "data": data}


_chats: dict[str, ChatFlow] = {}
_creating = threading.Lock()
_visits: defaultdict[str, itertools.count[int]] = defaultdict(itertools.count)


def visit(url: str) -> None:
    """Send some questions in one session."""
    base = url.rstrip("/")
    session = f"{RUN}-{next(_visits[base])}"
    with JsonConnection(base) as connection:
        try:
            chat = get_or_create_chat(base, connection)
            for number in range(QUESTIONS):
                send_message(connection, chat, session, f"question {number}")
        except (LookupError, TypeError) as error:
            raise UnexpectedResponseError(f"response without {error}") from error


def send_message(connection: JsonConnection, chat: ChatFlow, session: str, question: str) -> None:
    body = {"input_value": question, "session_id": session, "input_type": "chat", "output_type": "chat"}
    response = connection.request(chat.path, body, x_api_key=chat.key)
    text = response["outputs"][0]["outputs"][0]["results"]["message"]["text"]
    if response["session_id"] != session or question not in text:
        raise UnexpectedResponseError(f"not the answer to {question} in {session}")


def get_or_create_chat(base: str, connection: JsonConnection) -> ChatFlow:
    """Return the chat of a server; create it the first time, while concurrent visits wait."""
    with _creating:
        if base not in _chats:
            _chats[base] = create_chat(connection)
        return _chats[base]


def create_chat(connection: JsonConnection) -> ChatFlow:
    user = f"Bearer {connection.request('/api/v1/auto_login')['access_token']}"
    categories = connection.request("/api/v1/all", Authorization=user)
    templates = {name: component for category in categories.values() for name, component in category.items()}
    key = connection.request("/api/v1/api_key/", {"name": f"load {RUN}"}, Authorization=user)["api_key"]
    flow = {"name": f"chat {RUN}", "data": build_flow(templates)}
    created = connection.request("/api/v1/flows/", flow, Authorization=user)
    return ChatFlow(f"/api/v1/run/{created['id']}?stream=false", key)


def build_flow(templates: Json) -> Json:
    """Build the flow from component templates."""
    prompts = "Prompt" if "Prompt" in templates else "Prompt Template"  # renamed in newer versions
    chat_input, history, prompt, output = (
        FlowNode(name, name, copy.deepcopy(templates[name])) for name in ("ChatInput", "Memory", prompts, "ChatOutput")
    )
    fill_prompt(prompt.template)
    edges = [
        build_edge(history, "messages_text", prompt, "history"),
        build_edge(chat_input, "message", prompt, "question"),
        build_edge(prompt, "prompt", output, "input_value"),
    ]
    nodes = [node.as_json() for node in (chat_input, history, prompt, output)]
    return {"nodes": nodes, "edges": edges, "viewport": {"x": 0, "y": 0, "zoom": 1}}


def fill_prompt(template: Json) -> None:
    """Set the prompt, and add a field for each of its variables, as the editor does."""
    variables = ("history", "question")
    template["template"]["template"]["value"] = PROMPT
    template["custom_fields"] = {"template": list(variables)}
    for name in variables:
        field = {"name": name, "type": "str", "show": True, "required": False, "value": ""}
        template["template"][name] = field | {"input_types": ["Message", "Text"]}


def build_edge(source: FlowNode, output: str, target: FlowNode, field: str) -> Json:
    """Connect an output to a field. Each end is written as JSON, and as JSON in a string with œ for quotes."""
    (types,) = [found["types"] for found in source.template["outputs"] if found["name"] == output]
    target_field = target.template["template"][field]
    begin = {"dataType": source.component, "id": source.name, "name": output, "output_types": types}
    end = {
        "fieldName": field,
        "id": target.name,
        "inputTypes": target_field["input_types"],
        "type": target_field["type"],
    }
    return {
        "id": f"{source.name}-{target.name}-{field}",
        "source": source.name,
        "target": target.name,
        "sourceHandle": quote_handle(begin),
        "targetHandle": quote_handle(end),
        "data": {"sourceHandle": begin, "targetHandle": end},
    }


def quote_handle(handle: Json) -> str:
    return json.dumps(handle, separators=(",", ":")).replace('"', "œ")
