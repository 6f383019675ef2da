"""The exit of the previous instance of a container, from its status."""

from __future__ import annotations

from typing import Any

import pytest

from memroll.clients.kube.containers import decode_containers
from memroll.model.pods import ContainerExit
from tests.builders import at

ENDED = {
    "reason": "Error",
    "exitCode": 134,
    "containerID": "containerd://dead",
    "startedAt": at(-7200).isoformat(),
    "finishedAt": at(-3600).isoformat(),
}


def last_exit(ended: Any) -> ContainerExit | None:
    status = {"name": "app", "restartCount": 1, "state": {"running": {"startedAt": at(-3590).isoformat()}}}
    raw = {
        "spec": {"containers": [{"name": "app"}]},
        "status": {"containerStatuses": [status | {"lastState": {"terminated": ended}}]},
    }
    (found,) = decode_containers(raw, None)
    return found.last_exit


@pytest.mark.parametrize("code", [1, 2, 3, 133, 134, 137, 139])
def test_a_process_that_ended_with_an_error_exited(code):
    found = last_exit(ENDED | {"exitCode": code})
    assert found == ContainerExit("dead", at(-7200), at(-3600))
    assert found.lifetime_s == 3600


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"reason": "OOMKilled", "exitCode": 137}, id="an OOM kill"),
        pytest.param({"reason": "Completed", "exitCode": 0}, id="the end of its work"),
        pytest.param({"exitCode": 0}, id="no error"),
        pytest.param({"exitCode": 143}, id="SIGTERM, as in a deploy or after a failed liveness probe"),
        pytest.param({"exitCode": 255}, id="a reboot of the node"),
        pytest.param({"reason": "ContainerStatusUnknown", "exitCode": 137}, id="a lost node"),
        pytest.param({"reason": "StartError", "exitCode": 128}, id="a command that does not exist"),
        pytest.param({"startedAt": None}, id="no start"),
        pytest.param({"finishedAt": "soon"}, id="no end"),
        pytest.param({"finishedAt": at(-8000).isoformat()}, id="an end before the start"),
    ],
)
def test_other_ends_are_no_exits(changes):
    assert last_exit(ENDED | changes) is None


@pytest.mark.parametrize("ended", [None, "x", 3, [], {}, {"reason": 5, "exitCode": "1"}])
def test_a_malformed_state_is_no_exit(ended):
    assert last_exit(ended) is None
