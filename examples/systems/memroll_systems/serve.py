"""`python -m memroll_systems.serve langflow_like`: one of the systems on uvicorn, with memroll's probe around it.

The probe does nothing unless MEMROLL_PROBE=1. A service of yours needs the same two lines: an import, and `Probe(app)`.
"""

from __future__ import annotations

import argparse
import importlib
import os

import uvicorn

from memroll_probe.asgi import Probe

SYSTEMS = ("langflow_like", "chatchat_like", "agent_like", "tracing_race")
FINISH_S = 10
"""How long an answer under way may take after the process was told to end."""


def main() -> None:
    parser = argparse.ArgumentParser("memroll_systems.serve", description=__doc__)
    parser.add_argument("system", choices=SYSTEMS)
    system = parser.parse_args().system
    app = importlib.import_module(f"memroll_systems.{system}.app").create(os.environ)
    uvicorn.run(
        Probe(app),
        host=os.environ.get("HOST", "0.0.0.0"),  # noqa: S104 - a pod's only address is its own
        port=int(os.environ.get("PORT", "8080")),
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=FINISH_S,
    )


if __name__ == "__main__":
    main()
