"""What a visit to each of the systems is, for the load script: VISITS=memroll_systems.users. Standard library only.

A visit raises what urllib raises. An answer that is cut off, or that belongs to somebody else, is a failure, too.
"""

from __future__ import annotations

import http.client
import itertools
import json
import urllib.parse
import urllib.request
from collections import defaultdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

TIMEOUT_S = 10.0
SESSION_VISITS = 5
"""So often a user comes back to one session."""
UPLOAD_EACH = 40
DOCUMENT_CHARS = 48 * 1024
BATCH_EACH, BATCH_TASKS = 300, 40
LAST_CHUNK = "data: [DONE]"
_visits: defaultdict[str, itertools.count[int]] = defaultdict(itertools.count)


class WrongAnswer(http.client.HTTPException):
    """An answer that is not the whole one, or not the one to this question."""


def visit(url: str) -> None:
    """Make the visit that the last part of the path names."""
    number = next(_visits[url])
    kind = urllib.parse.urlsplit(url).path.rpartition("/")[2]
    VISITS[kind](url.removesuffix(f"/{kind}"), number)


def run_flow(base: str, number: int) -> None:
    """Have a flow run: two of three times the assistant."""
    session = f"session-{number // SESSION_VISITS}"
    flow = "summary" if number % 3 == 0 else "assistant"
    answer = json.loads(post(f"{base}/api/v1/run/{flow}", session_id=session, input_value=f"question {number}"))
    if answer["session_id"] != session:
        raise WrongAnswer(f"asked in {session}, answered in {answer['session_id']}")


def chat(base: str, number: int) -> None:
    """Ask something in a conversation; now and then, upload a document to talk about first."""
    if number % UPLOAD_EACH == 0:
        text = f"chapter {number}. ".ljust(DOCUMENT_CHARS, "x")
        post(f"{base}/knowledge_base/upload_temp_docs", name=f"document-{number}", text=text)
    session = f"session-{number // SESSION_VISITS}"
    answer = post(f"{base}/chat/completions", conversation_id=session, query=f"question {number}")
    if LAST_CHUNK not in answer:
        raise WrongAnswer("the stream was cut off")


def run_agent(base: str, number: int) -> None:
    _tasks(base, [f"task {number}"])


def run_agents(base: str, number: int) -> None:
    """Run one task, and now and then a batch of them at once."""
    batch = (number + 1) % BATCH_EACH == 0
    _tasks(base, [f"task {number}.{part}" for part in range(BATCH_TASKS if batch else 1)])


def run_traced(base: str, number: int) -> None:
    """Have a run traced. Whose spans come back is not asked here but by tracing_race.check."""
    post(f"{base}/api/v1/run", run_id=f"run-{number}")


VISITS: dict[str, Callable[[str, int], None]] = {
    "flows": run_flow, "chat": chat, "agent": run_agent, "agents": run_agents, "traced": run_traced,
}  # fmt: skip


def post(url: str, **body: Any) -> str:  # noqa: ANN401 - JSON
    """Send JSON, and return the text of the answer."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})  # noqa: S310 - the addresses of the load
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 - the same
        text: str = answer.read().decode()
        return text


def _tasks(base: str, tasks: list[str]) -> None:
    answers = json.loads(post(f"{base}/runs", tasks=tasks))["answers"]
    if len(answers) != len(tasks) or not all(repr(t) in a for t, a in zip(tasks, answers, strict=True)):
        raise WrongAnswer(f"{len(answers)} answers to {len(tasks)} tasks, or to others")
