"""Fixture that finds Helm."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from tests.unit.chart.rendering import ROOT, Helm


@pytest.fixture(scope="session")
def helm() -> Helm:
    path = os.environ.get("HELM") or shutil.which("helm") or _local_cluster_helm()
    if path:
        return Helm(path)
    missing = "there is no helm: set HELM, put it on the PATH, or run `make cluster-up`, which builds it"
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)


def _local_cluster_helm() -> str:
    command = [sys.executable, "-m", "localcluster", "bin", "helm"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "deploy" / "local")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    return done.stdout.strip() if done.returncode == 0 else ""
