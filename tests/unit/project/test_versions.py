"""Tests that need a newer Kubernetes than the server, and the cluster that they run on."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.e2e.versions import reason_to_skip
from tests.texts import ROOT

if TYPE_CHECKING:
    from pathlib import Path

DRIVER = """#!/bin/sh
echo "$3" >>calls
[ "$3" != status ] || exit {status}
"""


@pytest.mark.parametrize(("server", "runs"), [("v1.34.0", True), ("v1.35.4-gke.100", True), ("v1.30.14+k3s1", False)])
def test_a_test_of_a_feature_is_skipped_where_the_server_lacks_it(server, runs):
    reason = reason_to_skip(server, "1.34", "limits of a pod")
    assert reason == ("" if runs else f"limits of a pod: needs Kubernetes 1.34, the server has {server}")


def test_an_unreadable_version_is_an_error_not_a_skip():
    with pytest.raises(ValueError, match="'' is not a version of Kubernetes"):
        reason_to_skip("", "1.34", "limits of a pod")


@pytest.mark.parametrize(
    ("status", "command", "code", "calls"),
    [
        pytest.param(0, "true", 0, ["status"], id="a running cluster is kept"),
        pytest.param(3, "true", 0, ["status", "up", "down"], id="one that is started is stopped"),
        pytest.param(3, "false", 1, ["status", "up", "down"], id="on failure, too"),
        pytest.param(2, "true", 2, ["status"], id="one of another version is not changed"),
    ],
)
def test_only_a_cluster_that_was_started_here_is_stopped(tmp_path: Path, status, command, code, calls):
    python = tmp_path / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(DRIVER.format(status=status))
    python.chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if name != "CLUSTER"}
    done = subprocess.run([ROOT / "hack/with-cluster", command], cwd=tmp_path, env=environment, check=False)
    assert done.returncode == code
    assert (tmp_path / "calls").read_text().split() == calls
