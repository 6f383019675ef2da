"""The tracing service, twice: as a singleton that holds the state of the run, and with a context variable."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol

PAYLOAD_CHARS = 48 * 1024
PAYLOAD = '{{"run": "{run}", "component": "{component}", "inputs": "{inputs}"}}'


@dataclass(frozen=True, slots=True)
class Span:
    """What one component did: whose it was, and what it was given."""

    run_id: str
    component: str
    payload: str


def span_of(run_id: str, component: str) -> Span:
    inputs = f"{run_id} ".ljust(PAYLOAD_CHARS, component[0])
    return Span(run_id, component, PAYLOAD.format(run=run_id, component=component, inputs=inputs))  # the leak


class Tracing(Protocol):
    def start(self, run_id: str) -> None: ...
    def record(self, span: Span) -> None: ...
    def end(self) -> list[Span]: ...
    def __len__(self) -> int: ...


class SharedTracing:
    """One object for all runs. `start` overwrites the run that another one has just set.

    So spans go to whoever started last, `end` takes away the trace of another run, and the traces that nobody ends any
    more stay.
    """

    def __init__(self) -> None:
        self._run_id = ""
        self._traces: dict[str, list[Span]] = {}

    def __len__(self) -> int:
        return len(self._traces)

    def start(self, run_id: str) -> None:
        self._run_id = run_id
        self._traces[run_id] = []

    def record(self, span: Span) -> None:
        self._traces.setdefault(self._run_id, []).append(span)

    def end(self) -> list[Span]:
        return self._traces.pop(self._run_id, [])


class ContextTracing:
    """One trace for each run: the variable's value belongs to the task of the run and to the tasks that it starts."""

    def __init__(self) -> None:
        self._trace: ContextVar[list[Span]] = ContextVar("trace")
        self._open = 0

    def __len__(self) -> int:
        return self._open

    def start(self, run_id: str) -> None:
        assert run_id, "a trace is somebody's"
        self._trace.set([])
        self._open += 1

    def record(self, span: Span) -> None:
        self._trace.get().append(span)

    def end(self) -> list[Span]:
        self._open -= 1
        return self._trace.get()
