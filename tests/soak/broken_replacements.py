"""Replacements that can't become Ready. No spec is changed: the image, program, quota or node breaks them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from localcluster.paths import ClusterPaths
from tests.e2e import objects
from tests.soak.cases import SoakCase
from tests.soak.roll_scenario import HASH_LABEL, is_ready, memroll_annotations, owner_kinds, wait_until

if TYPE_CHECKING:
    from tests.soak.kubectl_proxy import Json
    from tests.soak.roll_scenario import RollScenario

STRICT_BUDGET = {"minAvailable": "100%"}
TIMEOUT_S = 20
CRASHING_PROGRAM = "raise SystemExit('this version is broken')\n"
NEVER_READY_PROGRAM = objects.PROGRAM.replace(
    'if __name__ == "__main__":', 'os.environ["READY_AFTER_S"] = "86400"\n\nif __name__ == "__main__":'
)


def check_rollback(scenario: RollScenario) -> None:
    """Roll the only pod, whose replacement can't become Ready, and check that everything is restored."""
    (old,) = scenario.wait_until_settled(1)
    before = scenario.get_generations()
    status = scenario.wait_until_ended(scenario.create_roll(old, replacementTimeoutSeconds=TIMEOUT_S))
    assert status["phase"] == "Failed", f"{status['phase']}: {status.get('message')}"
    assert status["reason"], "a failed roll has a reason"
    assert "the pod is restored" in status["message"], status["message"]
    wait_until("the old pod alone, owned by its ReplicaSet", lambda: is_restored(scenario, old))
    assert scenario.get_generations() == before, "a spec was changed"


def is_restored(scenario: RollScenario, old: Json) -> bool:
    pods = scenario.list_pods()
    if [p["metadata"]["uid"] for p in pods] != [old["metadata"]["uid"]]:
        return False
    (pod,) = pods
    labels: dict[str, str] = pod["metadata"]["labels"]
    if labels != old["metadata"]["labels"] or HASH_LABEL not in labels:
        return False
    return is_ready(pod) and owner_kinds(pod) == ["ReplicaSet"] and not memroll_annotations(pod)


def check_roll(scenario: RollScenario) -> None:
    """Roll the only pod again, after the repair."""
    (old,) = scenario.wait_until_settled(1)
    status = scenario.wait_until_ended(scenario.create_roll(old))
    assert status["phase"] == "Succeeded", f"after the repair {status['phase']}: {status.get('message')}"
    scenario.wait_until_settled(1)


def make_unschedulable(scenario: RollScenario, _: int) -> None:
    """Let the pod request more than half of the node's CPU: a second one does not fit."""

    def request_most_cpu(template: Json) -> None:
        template["spec"]["containers"][0]["resources"]["requests"]["cpu"] = f"{_millicores(scenario) * 55 // 100}m"

    scenario.deploy(1, STRICT_BUDGET, request_most_cpu)
    scenario.start_load()
    check_rollback(scenario)


def _millicores(scenario: RollScenario) -> int:
    (node,) = scenario.kube.list("nodes", "")
    cpu: str = node["status"]["allocatable"]["cpu"]
    return int(cpu[:-1]) if cpu.endswith("m") else int(cpu) * 1000


def remove_image(scenario: RollScenario, _: int) -> None:
    """Remove the image from the node; no registry has it."""
    name = f"localhost/{scenario.namespace}:gone"
    _ctr("tag", "--force", scenario.image, name)
    try:
        scenario.deploy(1, STRICT_BUDGET, lambda template: template["spec"]["containers"][0].update(image=name))
    finally:
        _ctr("rm", "--sync", name)
    scenario.start_load()
    check_rollback(scenario)


def _ctr(*arguments: str) -> None:
    socket = str(ClusterPaths.from_environment(os.environ, Path.home()).containerd_socket)
    command = ["ctr", "--address", socket, "--namespace", "k8s.io", "images", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"


def break_program(program: str, scenario: RollScenario) -> None:
    """Replace the program by a broken one, which only new pods run, and then by the working one."""
    scenario.deploy(1, STRICT_BUDGET)
    scenario.start_load()
    scenario.replace_program(program)
    check_rollback(scenario)
    scenario.replace_program(objects.PROGRAM)
    check_roll(scenario)


def exhaust_quota(scenario: RollScenario, _: int) -> None:
    """Set a ResourceQuota that allows no second pod: none is created."""
    scenario.deploy(1, STRICT_BUDGET)
    scenario.start_load()
    quota = scenario.create_pod_quota()
    check_rollback(scenario)
    scenario.kube.delete("resourcequotas", scenario.namespace, quota)
    check_roll(scenario)


CASES = [
    SoakCase("unschedulable", make_unschedulable),
    SoakCase("image-missing", remove_image),
    SoakCase("crash-looping", lambda scenario, _: break_program(CRASHING_PROGRAM, scenario)),
    SoakCase("never-ready", lambda scenario, _: break_program(NEVER_READY_PROGRAM, scenario)),
    SoakCase("quota-exhausted", exhaust_quota),
]
