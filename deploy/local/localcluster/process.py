"""Starts and stops the cluster's processes, and remembers each by a pid file that cannot be mistaken.

A pid file holds pid, start time and boot. One that is stale, whatever runs under that pid now, reads as "not running".
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from localcluster import files, ports, proc
from localcluster.components import Component
from localcluster.errors import ClusterError
from localcluster.layout import Layout
from localcluster.proc import Identity
from localcluster.run import LAST_LINES, tail

NICENESS = -10
"""Niceness of the cluster's components: a node has CPU reserved for them, and a kube-proxy that a busy machine delays
routes requests to pods that are gone. Pods have cgroups of their own: there it makes no difference."""
_POLL_SECONDS = 0.1
_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/", "LANG": "C.UTF-8"}


def running(layout: Layout, name: str) -> Identity | None:
    identity = recorded(layout, name)
    return identity if identity is not None and identity.alive() else None


def recorded(layout: Layout, name: str) -> Identity | None:
    """Read the pid file; an unreadable one says nothing."""
    try:
        fields = json.loads(_pid_file(layout, name).read_text())
        return Identity(int(fields["pid"]), int(fields["started"]), str(fields["boot"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def start(layout: Layout, component: Component) -> Identity:
    """Start a component, or find it running. Its output is appended to its log."""
    found = running(layout, component.name)
    if found is not None:
        return found
    identity = _unrecorded(layout, component)
    if identity is None:
        ports.require_free(component)
        if component.socket is not None:
            component.socket.unlink(missing_ok=True)
        identity = _spawn(layout, component)
    files.write_json(_pid_file(layout, component.name), asdict(identity))
    return identity


def wait_listening(layout: Layout, component: Component, seconds: float) -> None:
    """Wait until every listener answers; a component that dies instead is an error with its last words."""
    deadline = time.monotonic() + seconds
    while not ports.answers(component):
        require_running(layout, component.name)
        if time.monotonic() >= deadline:
            message = f"{component.name} does not answer after {seconds:.0f} s"
            raise ClusterError(_with_log(layout, component.name, message))
        time.sleep(_POLL_SECONDS)
    _prefer(layout, component.name)


def _prefer(layout: Layout, name: str) -> None:
    """Run all threads of a component before the machine's other work, where that is permitted.

    A thread inherits the priority of the one that starts it, so that those to come have it as well.
    """
    identity = recorded(layout, name)
    if identity is None:
        return
    with suppress(OSError):  # not permitted, or it has just died: its next check reports that
        for thread in Path(f"/proc/{identity.pid}/task").iterdir():
            os.setpriority(os.PRIO_PROCESS, int(thread.name), NICENESS)


def require_running(layout: Layout, name: str) -> None:
    if running(layout, name) is None:
        raise ClusterError(_with_log(layout, name, f"{name} has died"), "`down` and `up` start afresh")


def stop(layout: Layout, components: Iterable[Component]) -> None:
    """Ask components to stop, all at once, and insist when their time is over."""
    found = {c.name: (c, identity) for c in components if (identity := running(layout, c.name)) is not None}
    identities = [identity for _, identity in found.values()]
    proc.signal_all(identities, signal.SIGTERM)
    patience = max((component.stop_seconds for component, _ in found.values()), default=0)
    proc.kill(proc.wait_gone(identities, patience))
    for name in found:
        _pid_file(layout, name).unlink(missing_ok=True)


def log_file(layout: Layout, name: str) -> Path:
    return layout.logs / f"{name}.log"


def _unrecorded(layout: Layout, component: Component) -> Identity | None:
    """Find what a driver started that was killed before it had written the pid file."""
    argv = list(component.argv)
    return next((one for one in proc.marked(layout.cluster_id) if proc.command_line(one.pid) == argv), None)


def _spawn(layout: Layout, component: Component) -> Identity:
    layout.logs.mkdir(parents=True, exist_ok=True)
    with log_file(layout, component.name).open("ab") as log:
        try:
            process = subprocess.Popen(
                component.argv,
                cwd=layout.state,
                # Not the caller's environment: its proxies and credentials are none of the cluster's business.
                env={**_ENVIRONMENT, **dict(component.environment), proc.MARK: layout.cluster_id},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise ClusterError(f"cannot start {component.argv[0]}: {error.strerror}", "run `up`") from error
    identity = proc.identify(process.pid)
    if identity is None:
        process.wait()
        raise ClusterError(_with_log(layout, component.name, f"{component.name} died at once"))
    # The process outlives this driver on purpose; without this Python warns that nobody waited for it.
    process.returncode = 0
    return identity


def _with_log(layout: Layout, name: str, message: str) -> str:
    path = log_file(layout, name)
    lines = "\n".join(f"  {line}" for line in tail(path))
    return f"{message}; the last {LAST_LINES} lines of {path}:\n{lines}\n"


def _pid_file(layout: Layout, name: str) -> Path:
    return layout.pids / f"{name}.json"
