"""Two tracing services: a singleton that holds the state of the run, and one with a context variable."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol

PAYLOAD_CHARS = 48 * 1024
PAYLOAD = '{{"run": "{run}", "component": "{component}", "inputs": "{inputs}"}}'


@dataclass(frozen=True, slots=True)
class Span:
    """Work of one component: its run, and its input."""

    run_id: str
    component: str
    payload: str


def make_span(run_id: str, component: str) -> Span:
    inputs = f"{run_id} ".ljust(PAYLOAD_CHARS, component[0])
    return Span(run_id, component, PAYLOAD.format(run=run_id, component=component, inputs=inputs))  # the leak


class Tracing(Protocol):
    def start(self, run_id: str) -> None: ...
    def record(self, span: Span) -> None: ...
    def end(self) -> list[Span]: ...
    def __len__(self) -> int: ...


class SharedTracing:
    """Tracing with one state for all runs: `start` overwrites the current run of another task.

    Spans are added to the run that started last, `end` removes the trace of another run, and the traces that are never
    ended stay.
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
    """Tracing with one trace per run: the variable has a separate value in the run's task and the tasks it starts."""

    def __init__(self) -> None:
        self._trace: ContextVar[list[Span]] = ContextVar("trace")
        self._open = 0

    def __len__(self) -> int:
        return self._open

    def start(self, run_id: str) -> None:
        assert run_id, "a trace belongs to a run"
        self._trace.set([])
        self._open += 1

    def record(self, span: Span) -> None:
        self._trace.get().append(span)

    def end(self) -> list[Span]:
        self._open -= 1
        return self._trace.get()
