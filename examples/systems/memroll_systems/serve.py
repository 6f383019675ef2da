"""Serve one of the systems with uvicorn and memroll's probe: `python -m memroll_systems.serve langflow_like`.

The probe does nothing unless MEMROLL_PROBE=1. Other services need the same two lines: an import, and `Probe(app)`.
"""

from __future__ import annotations

import argparse
import importlib
import os

import uvicorn

from memroll_probe.asgi import Probe

SYSTEMS = ("langflow_like", "chatchat_like", "agent_like", "tracing_race")
FINISH_S = 10
"""Maximum time in seconds for requests in flight after SIGTERM; chosen by hand."""


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
