"""Definitions of the four systems: their Deployments, the load on each, and the source line that leaks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parents[2] / "systems"
MARK = "# the leak"
"""Comment at the end of the source line that allocates the leaked memory; each system has one."""


@dataclass(frozen=True)
class SystemDeployment:
    """Deployment of a system."""

    name: str
    visit: str
    """Kind of the load's visits: see memroll_systems.users."""
    per_second: float
    """Visits per second."""
    leak: str = ""
    """Source file with the line that leaks; empty for a Deployment that does not leak."""
    replicas: int = 1
    observe_first: bool = False
    """True if its policy has mode Observe until the leak is confirmed, and then Enforce."""


@dataclass(frozen=True)
class System:
    """Service that leaks, and its twin without the leak."""

    name: str
    deployments: tuple[SystemDeployment, ...]
    check_isolation: bool = False
    """True to check whether concurrent runs are isolated: they must be mixed in the leaking Deployment only."""
    seconds: float = 300
    """Duration of the demo. Replicas that grow at the same time are compared for four windows before a verdict."""


SYSTEMS = {
    system.name: system
    for system in (
        System(
            "langflow-like",
            (
                SystemDeployment("langflow-like", "flows", 6, leak="langflow_like/components.py"),
                SystemDeployment("langflow-like-weak", "flows", 6),
            ),
        ),
        System(
            "chatchat-like",
            (
                SystemDeployment(
                    "chatchat-like", "chat", 8, leak="chatchat_like/conversations.py", replicas=3, observe_first=True
                ),
                SystemDeployment("chatchat-like-bounded", "chat", 4),
            ),
            seconds=600,
        ),
        System(
            "agent-like",
            (
                SystemDeployment("agent-like", "agent", 6, leak="agent_like/agent.py"),
                SystemDeployment("agent-like-bursts", "agents", 8),
            ),
        ),
        System(
            "tracing-race",
            (
                SystemDeployment("tracing-race", "traced", 6, leak="tracing_race/tracing.py"),
                SystemDeployment("tracing-race-context", "traced", 6),
            ),
            check_isolation=True,
        ),
    )
}


@dataclass(frozen=True)
class SourceLine:
    """Source line, identified by the end of its path: the beginning depends on where the program is installed."""

    file: str
    line: int
    text: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"

    def is_at(self, file: str, line: int) -> bool:
        """Return whether a report refers to this line, with any part of the path."""
        return line == self.line and f"/{file}".endswith(f"/{self.file}")


def leaking_line(leak: str) -> SourceLine:
    """Return the marked line of a source file: the first line that the evidence must contain."""
    text = (HERE / "memroll_systems" / leak).read_text(encoding="utf-8")
    ((number, code),) = [(n, c) for n, c in enumerate(text.splitlines(), 1) if c.endswith(MARK)]
    return SourceLine(leak, number, code.strip().removesuffix(MARK).rstrip())
