"""Ctrl-C: before a command runs, while it waits for a server, and in a process that ignores it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

import pytest

from tests.processes import interruptible
from tests.texts import ROOT

ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "KUBERNETES_SERVICE_HOST"} | {
    "PYTHONPATH": str(ROOT / "operator")
}


@pytest.mark.parametrize(("before", "after"), [("default_int_handler", "SIG_DFL"), ("SIG_IGN", "SIG_IGN")])
def test_an_import_has_no_traceback_when_it_is_interrupted(before, after):
    code = (
        f"import signal; signal.signal(signal.SIGINT, signal.{before})\n"
        "import memroll.__main__ as started, memroll.cli as cli, sys\n"
        f"sys.exit(signal.getsignal(signal.SIGINT) is not signal.{after})"
    )
    assert subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, check=False).returncode == 0


@pytest.mark.parametrize("command", ["backtest -n ai --prometheus", "check --kubeconfig /dev/null --prometheus"])
def test_ctrl_c_ends_a_command_that_waits_for_a_server(command):
    """The two wait in the thread of the event loop, and in another one."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        process = subprocess.Popen(
            interruptible("-c", WITHOUT_CLUSTER, "memroll", *command.split(), url),
            env=ENVIRONMENT,
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        server.settimeout(60)
        connection, _ = server.accept()
        process.send_signal(signal.SIGINT)
        printed = process.communicate(timeout=30)
        connection.close()
    assert (process.returncode, *printed) == (130, "", f"memroll {command.split()[0]}: interrupted\n")


WITHOUT_CLUSTER = """
import sys
import memroll.__main__ as started
from memroll.cli import check
async def query(namespace, operator, options, *, with_prometheus):
    from memroll.inspection.prometheus_checks import WatchedScope
    return await check.asyncio.to_thread(check._check_prometheus, operator, {"default": WatchedScope()})
check._check = query
sys.argv = sys.argv[1:]
sys.exit(started.main())
"""
"""`memroll check` that begins with Prometheus."""
