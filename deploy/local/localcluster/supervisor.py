"""Starts and stops the cluster's processes. Records each in a pid file that identifies it unambiguously.

A pid file has pid, start time and boot id. A stale one means "not running", even if the pid was reused.
"""

import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from localcluster import files, ports, procfs
from localcluster.components import Component
from localcluster.errors import ClusterError
from localcluster.paths import ClusterPaths
from localcluster.procfs import ProcessIdentity
from localcluster.run import LAST_LINES, tail

NICENESS = -10
"""Niceness of the cluster's components. A node reserves CPU for them, and a kube-proxy that a busy machine delays
routes requests to pods that are gone. Pods have cgroups of their own, where it makes no difference."""
MAX_STARTS = 3
"""Number of times that a component is started until the cluster is up."""
_POLL_SECONDS = 0.1
_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/", "LANG": "C.UTF-8"}


def find_running(paths: ClusterPaths, name: str) -> ProcessIdentity | None:
    identity = read_pid_file(paths, name)
    return identity if identity is not None and identity.is_alive() else None


def read_pid_file(paths: ClusterPaths, name: str) -> ProcessIdentity | None:
    """Return the identity in the pid file; None if it is missing or unreadable."""
    try:
        fields = json.loads(_pid_file(paths, name).read_text())
        return ProcessIdentity(int(fields["pid"]), int(fields["started"]), str(fields["boot"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def start(paths: ClusterPaths, component: Component) -> ProcessIdentity:
    """Start a component unless it runs, and return its identity. Its output is appended to its log."""
    found = find_running(paths, component.name)
    if found is not None:
        return found
    identity = _find_unrecorded(paths, component)
    if identity is None:
        ports.require_free(component)
        if component.socket is not None:
            component.socket.unlink(missing_ok=True)
        identity = _spawn(paths, component)
    files.write_json(_pid_file(paths, component.name), asdict(identity))
    return identity


class Restarts:
    """Starts components again that die while the cluster comes up, as the service manager of a node does.

    On overlayfs, a kubelet sometimes can't rename a socket within its own folder ("invalid cross-device link"), and
    ends itself.
    """

    def __init__(self, paths: ClusterPaths) -> None:
        self._paths = paths
        self._starts: Counter[str] = Counter()

    def require_running(self, component: Component) -> None:
        """Start the component again if it has died. If it was started too often already, raise with its log."""
        if find_running(self._paths, component.name) is not None:
            return
        self._starts[component.name] += 1
        if self._starts[component.name] >= MAX_STARTS:
            require_running(self._paths, component.name)
        start(self._paths, component)


def wait_listening(paths: ClusterPaths, component: Component, seconds: float, restarts: Restarts | None = None) -> None:
    """Wait until every listener accepts connections. If the component dies instead, raise with the end of its log."""
    deadline = time.monotonic() + seconds
    while not ports.is_listening(component):
        if restarts is None:
            require_running(paths, component.name)
        else:
            restarts.require_running(component)
        if time.monotonic() >= deadline:
            message = f"{component.name} does not accept connections after {seconds:.0f} s"
            raise ClusterError(_with_log_tail(paths, component.name, message))
        time.sleep(_POLL_SECONDS)
    _raise_priority(paths, component.name)


def _raise_priority(paths: ClusterPaths, name: str) -> None:
    """Run all threads of a component before the machine's other work, where that is permitted.

    A thread inherits the priority of the thread that starts it, so later threads have it as well.
    """
    identity = find_running(paths, name)
    if identity is None:
        return
    with suppress(OSError):  # not permitted, or it has just died: its next check reports that
        for thread in Path(f"/proc/{identity.pid}/task").iterdir():
            os.setpriority(os.PRIO_PROCESS, int(thread.name), NICENESS)


def require_running(paths: ClusterPaths, name: str) -> None:
    if find_running(paths, name) is None:
        raise ClusterError(_with_log_tail(paths, name, f"{name} has died"), "run `down`, then `up`")


def stop(paths: ClusterPaths, components: Iterable[Component]) -> None:
    """Send SIGTERM to all components at once, and SIGKILL to those that still run after their time to stop."""
    found = {c.name: (c, identity) for c in components if (identity := find_running(paths, c.name)) is not None}
    identities = [identity for _, identity in found.values()]
    procfs.signal_all(identities, signal.SIGTERM)
    timeout = max((component.stop_seconds for component, _ in found.values()), default=0)
    procfs.kill(procfs.wait_until_gone(identities, timeout))
    for name in found:
        _pid_file(paths, name).unlink(missing_ok=True)


def log_file(paths: ClusterPaths, name: str) -> Path:
    return paths.logs / f"{name}.log"


def _find_unrecorded(paths: ClusterPaths, component: Component) -> ProcessIdentity | None:
    """Return the process of a driver that was killed before it wrote the pid file."""
    argv = list(component.argv)
    return next((one for one in procfs.find_marked(paths.cluster_id) if procfs.command_line(one.pid) == argv), None)


def _spawn(paths: ClusterPaths, component: Component) -> ProcessIdentity:
    paths.logs.mkdir(parents=True, exist_ok=True)
    with log_file(paths, component.name).open("ab") as log:
        try:
            process = subprocess.Popen(
                component.argv,
                cwd=paths.state,
                # Not the caller's environment: the cluster must not get its proxies and credentials.
                env={**_ENVIRONMENT, **dict(component.environment), procfs.MARK: paths.cluster_id},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise ClusterError(f"cannot start {component.argv[0]}: {error.strerror}", "run `up`") from error
    identity = procfs.identify(process.pid)
    if identity is None:
        process.wait()
        raise ClusterError(_with_log_tail(paths, component.name, f"{component.name} died immediately"))
    # The process outlives this driver on purpose; without this, Python warns that it was not waited for.
    process.returncode = 0
    return identity


def _with_log_tail(paths: ClusterPaths, name: str, message: str) -> str:
    path = log_file(paths, name)
    lines = "\n".join(f"  {line}" for line in tail(path))
    return f"{message}; the last {LAST_LINES} lines of {path}:\n{lines}\n"


def _pid_file(paths: ClusterPaths, name: str) -> Path:
    return paths.pids / f"{name}.json"
