"""A visit to LangFlow: a chat over its own API. Chat Input + Message History -> Prompt -> Chat Output, without a model.

The first visit to a server logs in, makes a key and creates the flow from the server's own component templates. They
lie in its database, so every pod that follows knows them.
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

from memroll_real.talking import Talk, WrongAnswer

Json = dict[str, Any]

QUESTIONS = 3
"""So many in a session: each answer holds the history, so a long one doubles and doubles."""
PROMPT = "History:\n{history}\n\nUser: {question}\nAI:"
RUN = secrets.token_hex(4)
"""Keeps the sessions of this load apart from those of an earlier one."""


@dataclass(frozen=True)
class Chat:
    """A flow that can be talked to."""

    path: str
    key: str


@dataclass(frozen=True)
class Node:
    """A component in a flow."""

    name: str
    component: str
    template: Json

    def as_json(self) -> Json:
        data = {"id": self.name, "type": self.component, "node": self.template}
        return {"id": self.name, "type": "genericNode", "position": {"x": 0, "y": 0}, "data": data}


_chats: dict[str, Chat] = {}
_setting_up = threading.Lock()
_visits: defaultdict[str, itertools.count[int]] = defaultdict(itertools.count)


def visit(url: str) -> None:
    """Come by, ask some questions in a session, and leave."""
    base = url.rstrip("/")
    session = f"{RUN}-{next(_visits[base])}"
    with Talk(base) as talk:
        try:
            chat = chat_of(base, talk)
            for number in range(QUESTIONS):
                say(talk, chat, session, f"question {number}")
        except (LookupError, TypeError) as error:
            raise WrongAnswer(f"an answer without {error}") from error


def say(talk: Talk, chat: Chat, session: str, question: str) -> None:
    body = {"input_value": question, "session_id": session, "input_type": "chat", "output_type": "chat"}
    answer = talk.ask(chat.path, body, x_api_key=chat.key)
    text = answer["outputs"][0]["outputs"][0]["results"]["message"]["text"]
    if answer["session_id"] != session or question not in text:
        raise WrongAnswer(f"not the answer to {question} in {session}")


def chat_of(base: str, talk: Talk) -> Chat:
    """Return the chat at a server, and set it up the first time; who comes meanwhile waits."""
    with _setting_up:
        if base not in _chats:
            _chats[base] = set_up(talk)
        return _chats[base]


def set_up(talk: Talk) -> Chat:
    user = f"Bearer {talk.ask('/api/v1/auto_login')['access_token']}"
    kinds = talk.ask("/api/v1/all", Authorization=user)
    known = {name: component for kind in kinds.values() for name, component in kind.items()}
    key = talk.ask("/api/v1/api_key/", {"name": f"load {RUN}"}, Authorization=user)["api_key"]
    created = talk.ask("/api/v1/flows/", {"name": f"chat {RUN}", "data": flow(known)}, Authorization=user)
    return Chat(f"/api/v1/run/{created['id']}?stream=false", key)


def flow(known: Json) -> Json:
    """Build the flow from component templates."""
    prompts = "Prompt" if "Prompt" in known else "Prompt Template"  # it was renamed
    chat_input, history, prompt, output = (
        Node(name, name, copy.deepcopy(known[name])) for name in ("ChatInput", "Memory", prompts, "ChatOutput")
    )
    fill(prompt.template)
    edges = [
        edge(history, "messages_text", prompt, "history"),
        edge(chat_input, "message", prompt, "question"),
        edge(prompt, "prompt", output, "input_value"),
    ]
    nodes = [node.as_json() for node in (chat_input, history, prompt, output)]
    return {"nodes": nodes, "edges": edges, "viewport": {"x": 0, "y": 0, "zoom": 1}}


def fill(template: Json) -> None:
    """Write the prompt, and give its component a field for each variable, as the editor does."""
    variables = ("history", "question")
    template["template"]["template"]["value"] = PROMPT
    template["custom_fields"] = {"template": list(variables)}
    for name in variables:
        field = {"name": name, "type": "str", "show": True, "required": False, "value": ""}
        template["template"][name] = field | {"input_types": ["Message", "Text"]}


def edge(source: Node, output: str, target: Node, field: str) -> Json:
    """Join an output to a field. Each end is said twice: as JSON, and as JSON in a string with œ for quotes."""
    (types,) = [found["types"] for found in source.template["outputs"] if found["name"] == output]
    wanted = target.template["template"][field]
    begin = {"dataType": source.component, "id": source.name, "name": output, "output_types": types}
    end = {"fieldName": field, "id": target.name, "inputTypes": wanted["input_types"], "type": wanted["type"]}
    return {
        "id": f"{source.name}-{target.name}-{field}",
        "source": source.name,
        "target": target.name,
        "sourceHandle": quoted(begin),
        "targetHandle": quoted(end),
        "data": {"sourceHandle": begin, "targetHandle": end},
    }


def quoted(handle: Json) -> str:
    return json.dumps(handle, separators=(",", ":")).replace('"', "œ")
