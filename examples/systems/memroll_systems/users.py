"""Visits to the systems, for the load script: VISITS=memroll_systems.users. Standard library only.

A visit raises urllib's errors. A truncated response, or one that belongs to another request, is an error as well.
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
"""Number of visits per session."""
UPLOAD_INTERVAL = 40
"""Number of visits between two uploads of a document."""
DOCUMENT_CHARS = 48 * 1024
BATCH_INTERVAL, BATCH_TASKS = 300, 40
"""Number of visits between two batches, and number of tasks per batch."""
LAST_CHUNK = "data: [DONE]"
_visits: defaultdict[str, itertools.count[int]] = defaultdict(itertools.count)


class WrongResponseError(http.client.HTTPException):
    """Response that is truncated, or does not belong to the request."""


def visit(url: str) -> None:
    """Make the visit of the kind in the last part of the path."""
    number = next(_visits[url])
    kind = urllib.parse.urlsplit(url).path.rpartition("/")[2]
    VISITS[kind](url.removesuffix(f"/{kind}"), number)


def run_flow(base: str, number: int) -> None:
    """Run a flow: the assistant in two of three visits."""
    session = f"session-{number // SESSION_VISITS}"
    flow = "summary" if number % 3 == 0 else "assistant"
    response = json.loads(post(f"{base}/api/v1/run/{flow}", session_id=session, input_value=f"question {number}"))
    if response["session_id"] != session:
        raise WrongResponseError(f"request in {session}, response in {response['session_id']}")


def chat(base: str, number: int) -> None:
    """Send a question in a conversation; in some visits, upload a document first."""
    if number % UPLOAD_INTERVAL == 0:
        text = f"chapter {number}. ".ljust(DOCUMENT_CHARS, "x")
        post(f"{base}/knowledge_base/upload_temp_docs", name=f"document-{number}", text=text)
    session = f"session-{number // SESSION_VISITS}"
    response = post(f"{base}/chat/completions", conversation_id=session, query=f"question {number}")
    if LAST_CHUNK not in response:
        raise WrongResponseError("the stream was truncated")


def run_agent(base: str, number: int) -> None:
    _tasks(base, [f"task {number}"])


def run_agents(base: str, number: int) -> None:
    """Run one task; in some visits, a batch of concurrent tasks."""
    batch = (number + 1) % BATCH_INTERVAL == 0
    _tasks(base, [f"task {number}.{part}" for part in range(BATCH_TASKS if batch else 1)])


def run_traced(base: str, number: int) -> None:
    """Run a traced flow. The returned spans are not checked here but by tracing_race.check."""
    post(f"{base}/api/v1/run", run_id=f"run-{number}")


VISITS: dict[str, Callable[[str, int], None]] = {
    "flows": run_flow, "chat": chat, "agent": run_agent, "agents": run_agents, "traced": run_traced,
}  # fmt: skip


def post(url: str, **body: Any) -> str:
    """Send JSON, and return the text of the response."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})  # noqa: S310 - the load's own targets
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:  # noqa: S310 - the same
        text: str = response.read().decode()
        return text


def _tasks(base: str, tasks: list[str]) -> None:
    answers = json.loads(post(f"{base}/runs", tasks=tasks))["answers"]
    if len(answers) != len(tasks) or not all(repr(t) in a for t, a in zip(tasks, answers, strict=True)):
        raise WrongResponseError(f"{len(answers)} answers to {len(tasks)} tasks, or to other tasks")
