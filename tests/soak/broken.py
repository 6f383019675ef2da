"""Replacements that can't become Ready. No spec is changed to break them: what a pod is made from changes under it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from localcluster.layout import Layout
from tests.e2e import objects
from tests.soak.outcome import Case
from tests.soak.stage import HASH, is_ready, marks_of, owners_of, until

if TYPE_CHECKING:
    from tests.soak.kube import Json
    from tests.soak.stage import Stage

STRICT = {"minAvailable": "100%"}
TIMEOUT_S = 20
DIES = "raise SystemExit('this version is broken')\n"
NEVER_READY = objects.PROGRAM.replace(
    'if __name__ == "__main__":', 'os.environ["READY_AFTER_S"] = "86400"\n\nif __name__ == "__main__":'
)


def rolled_back(stage: Stage) -> None:
    """Roll the only pod, whose replacement can't become Ready, and see all of it put back."""
    (old,) = stage.settled(1)
    before = stage.generations()
    status = stage.ended(stage.roll(old, replacementTimeoutSeconds=TIMEOUT_S))
    assert status["phase"] == "Failed", f"{status['phase']}: {status.get('message')}"
    assert status["reason"], "a roll that fails says why in one word"
    assert "back" in status["message"], status["message"]
    until("the old pod under its ReplicaSet, alone", lambda: is_back(stage, old))
    assert stage.generations() == before, "a spec was changed"


def is_back(stage: Stage, old: Json) -> bool:
    pods = stage.pods()
    if [p["metadata"]["uid"] for p in pods] != [old["metadata"]["uid"]]:
        return False
    (pod,) = pods
    same: bool = pod["metadata"]["labels"] == old["metadata"]["labels"] and HASH in pod["metadata"]["labels"]
    return bool(same and is_ready(pod) and owners_of(pod) == ["ReplicaSet"] and not marks_of(pod))


def rolled(stage: Stage) -> None:
    """Roll the only pod once more, now that nothing is broken."""
    (old,) = stage.settled(1)
    status = stage.ended(stage.roll(old))
    assert status["phase"] == "Succeeded", f"after the repair {status['phase']}: {status.get('message')}"
    stage.settled(1)


def unschedulable(stage: Stage, _: int) -> None:
    """The pod asks for more than half of the node's CPU: a second one does not fit."""

    def greedy(template: Json) -> None:
        template["spec"]["containers"][0]["resources"]["requests"]["cpu"] = f"{_millicores(stage) * 55 // 100}m"

    stage.deploy(1, STRICT, greedy)
    stage.load()
    rolled_back(stage)


def _millicores(stage: Stage) -> int:
    (node,) = stage.kube.list("nodes", "")
    cpu: str = node["status"]["allocatable"]["cpu"]
    return int(cpu[:-1]) if cpu.endswith("m") else int(cpu) * 1000


def image_missing(stage: Stage, _: int) -> None:
    """The image was removed from the node, and no registry serves its name."""
    name = f"localhost/{stage.namespace}:gone"
    _ctr("tag", "--force", stage.image, name)
    try:
        stage.deploy(1, STRICT, lambda template: template["spec"]["containers"][0].update(image=name))
    finally:
        _ctr("rm", "--sync", name)
    stage.load()
    rolled_back(stage)


def _ctr(*arguments: str) -> None:
    socket = str(Layout.from_environment(os.environ, Path.home()).containerd_socket)
    command = ["ctr", "--address", socket, "--namespace", "k8s.io", "images", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"


def crash_looping(stage: Stage, _: int) -> None:
    stage.deploy(1, STRICT)
    stage.load()
    stage.program(DIES)
    rolled_back(stage)
    stage.program(objects.PROGRAM)
    rolled(stage)


def never_ready(stage: Stage, _: int) -> None:
    stage.deploy(1, STRICT)
    stage.load()
    stage.program(NEVER_READY)
    rolled_back(stage)
    stage.program(objects.PROGRAM)
    rolled(stage)


def quota_exhausted(stage: Stage, _: int) -> None:
    """The namespace may hold no second pod: none is created at all."""
    stage.deploy(1, STRICT)
    stage.load()
    quota = {"metadata": {"name": "one-pod"}, "spec": {"hard": {"pods": "1"}}}
    stage.kube.create("resourcequotas", stage.namespace, quota)

    def in_force() -> bool:
        seen = stage.kube.get("resourcequotas", stage.namespace, "one-pod") or {}
        return bool(seen.get("status", {}).get("used", {}).get("pods") == "1")

    until("the quota to be in force", in_force)
    rolled_back(stage)
    stage.kube.delete("resourcequotas", stage.namespace, "one-pod")
    rolled(stage)


CASES = [
    Case("unschedulable", unschedulable),
    Case("image-missing", image_missing),
    Case("crash-looping", crash_looping),
    Case("never-ready", never_ready),
    Case("quota-exhausted", quota_exhausted),
]
