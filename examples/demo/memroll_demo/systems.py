"""The four systems: which services each consists of, what the load does there, and which line of which file leaks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parents[2] / "systems"
MARK = "# the leak"
"""Stands at the end of the one line of a system that allocates what is kept."""


@dataclass(frozen=True)
class Member:
    """One Deployment of a system."""

    name: str
    visit: str
    """What the load does: see memroll_systems.users."""
    per_second: float
    leak: str = ""
    """The file with the line that leaks; empty for a harmless member."""
    replicas: int = 1
    told_first: bool = False
    """Whether its policy observes until the leak is told, and is then enforced."""


@dataclass(frozen=True)
class System:
    """A service that leaks, and the same without the leak."""

    name: str
    members: tuple[Member, ...]
    races: bool = False
    """Whether its members are asked if they keep runs apart: the leaking one must not, the harmless one must."""
    seconds: float = 300
    """How long it plays. Replicas that climb together are compared for four windows before one is called a leak."""


SYSTEMS = {
    system.name: system
    for system in (
        System(
            "langflow-like",
            (
                Member("langflow-like", "flows", 6, leak="langflow_like/components.py"),
                Member("langflow-like-weak", "flows", 6),
            ),
        ),
        System(
            "chatchat-like",
            (
                Member("chatchat-like", "chat", 11, leak="chatchat_like/conversations.py", replicas=3, told_first=True),
                Member("chatchat-like-bounded", "chat", 4),
            ),
            seconds=450,
        ),
        System(
            "agent-like",
            (
                Member("agent-like", "agent", 6, leak="agent_like/agent.py"),
                Member("agent-like-bursts", "agents", 8),
            ),
        ),
        System(
            "tracing-race",
            (
                Member("tracing-race", "traced", 6, leak="tracing_race/tracing.py"),
                Member("tracing-race-context", "traced", 6),
            ),
            races=True,
        ),
    )
}


@dataclass(frozen=True)
class Line:
    """A line of code, named by the end of its path: where the program lies differs from place to place."""

    file: str
    line: int
    text: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"

    def is_at(self, file: str, line: int) -> bool:
        """Whether a report means this line, whatever part of the path it gives."""
        return line == self.line and f"/{file}".endswith(f"/{self.file}")


def leaking_line(leak: str) -> Line:
    """Find the marked line of a source file: the one that the evidence must name first."""
    text = (HERE / "memroll_systems" / leak).read_text(encoding="utf-8")
    ((number, code),) = [(n, c) for n, c in enumerate(text.splitlines(), 1) if c.endswith(MARK)]
    return Line(leak, number, code.strip().removesuffix(MARK).rstrip())
