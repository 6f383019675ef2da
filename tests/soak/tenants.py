"""A tenant whose pods, annotations and PodRolls are hostile, next to a service that leaks and is rolled in time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tests import hostile_pods
from tests.e2e import objects
from tests.soak.cases import SoakCase
from tests.soak.roll_scenario import APP, wait_until
from tests.soak.surge_matrix import LEAK

if TYPE_CHECKING:
    from tests.soak.kubectl_proxy import Json
    from tests.soak.roll_scenario import RollScenario

TENANT = "tenant"
MISSING_PODS = 30
ANNOTATION_BYTES = 250 * 2**10
"""Size of the largest annotations in bytes; the API server allows 256 KiB for all annotations of an object."""
FIRST_PORT = 9000
EVIDENCE_TIMEOUT = "2s"
PORTS = {FIRST_PORT + i: name for i, name in enumerate(hostile_pods.HOSTILE_RESPONSES)}
SERVER = f"""
import asyncio
from hostile_pods import HOSTILE_RESPONSES, HostilePod

async def main():
    for port, (write, _) in enumerate(HOSTILE_RESPONSES.values(), {FIRST_PORT}):
        await asyncio.start_server(HostilePod(write).serve, "0.0.0.0", port)
    await asyncio.Event().wait()

asyncio.run(main())
"""
STRICT_BUDGET = {"minAvailable": "100%"}


def protect_leaking_service(scenario: RollScenario, _: int) -> None:
    """Roll a leaking service by its policy while another namespace does what it can to prevent that."""
    tenant = scenario.beside(TENANT)
    tenant.create_namespace()
    try:
        scenario.deploy(1, STRICT_BUDGET, env=LEAK)
        scenario.start_load()
        deploy_hostile_pods(tenant)
        missing = tenant.create_rolls(*[f"missing-{n}" for n in range(MISSING_PODS)])
        scenario.cluster.apply(objects.policy(scenario.namespace, APP))
        for port in PORTS:
            roll_hostile_pod(tenant, port)
        for roll in missing:
            status = tenant.wait_until_ended(roll)
            assert (status["phase"], status["reason"]) == ("Aborted", "PodGone"), status
        status = scenario.wait_until_ended(wait_until("a roll", lambda: find_roll(scenario), timeout_s=240))
        assert status["phase"] == "Succeeded", f"{status['phase']}: {status.get('message')}"
        assert count_restarts_of_operators(scenario) == 0
    finally:
        scenario.kube.delete("memorypolicies", scenario.namespace, APP)
        tenant.delete_namespace()


def find_roll(scenario: RollScenario) -> str:
    scenario.list_pods()  # for the OOM kills
    return next((str(r["metadata"]["name"]) for r in scenario.list_rolls()), "")


def deploy_hostile_pods(tenant: RollScenario) -> None:
    """Deploy pods with hostile responses and annotations, and two PodDisruptionBudgets that select them."""
    text = Path(hostile_pods.__file__).read_text(encoding="utf-8")
    data = {"hostile_pods.py": text, "server.py": SERVER}
    tenant.kube.create("configmaps", tenant.namespace, {"metadata": {"name": "hostile"}, "data": data})
    tenant.deploy(1, STRICT_BUDGET, serve_hostile_responses)
    second = {"metadata": {"name": "second"}, "spec": {"selector": {"matchLabels": {"app": APP}}, "minAvailable": 0}}
    tenant.kube.create("poddisruptionbudgets", tenant.namespace, second)
    (pod,) = tenant.list_pods()
    change = {"metadata": {"annotations": {"memroll.dev/detached": "[" * ANNOTATION_BYTES}}}
    tenant.kube.patch("pods", tenant.namespace, pod["metadata"]["name"], change)
    for key in ("memroll.dev/released-owner", "memroll.dev/released-from", "memroll.dev/roll"):
        tenant.kube.create("pods", tenant.namespace, released_pod(tenant, key))


def serve_hostile_responses(template: Json) -> None:
    (container,) = template["spec"]["containers"]
    del container["readinessProbe"]
    container["command"] = ["python3", "/hostile/server.py"]
    container["ports"] = [{"containerPort": port} for port in PORTS]
    container["resources"]["limits"]["memory"] = "256Mi"
    container["volumeMounts"].append({"name": "hostile", "mountPath": "/hostile"})
    template["spec"]["volumes"].append({"name": "hostile", "configMap": {"name": "hostile"}})


def released_pod(tenant: RollScenario, key: str) -> Json:
    """Return a Pending pod that looks as if memroll had released it, with one huge annotation."""
    labels = {"app": "released", "pod-template-hash": "memroll-released"}
    meta = {"generateName": "released-", "labels": labels, "annotations": {key: '{"a":' * (ANNOTATION_BYTES // 5)}}
    spec = objects.pod_template("released", tenant.image)["spec"] | {"nodeSelector": {"no": "such-node"}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


def roll_hostile_pod(tenant: RollScenario, port: int) -> None:
    """Roll the hostile pod with evidence from one of its ports: captured in time, and refused without a change."""
    pod = next(p for p in tenant.list_pods() if p["metadata"]["labels"]["app"] == APP)
    evidence = {"http": {"port": port}, "timeout": EVIDENCE_TIMEOUT}
    status = tenant.wait_until_ended(tenant.create_roll(pod, evidence=evidence), timeout_s=60)
    assert (status["phase"], status["reason"]) == ("Failed", "EvictionRefused"), f"{PORTS[port]}: {status}"
    assert "release" not in status, f"{PORTS[port]}: the pod was released"
    sections = [m["section"] for m in status["evidence"].get("missing", [])]
    assert "http" in sections, f"{PORTS[port]}: {status['evidence']}"


def count_restarts_of_operators(scenario: RollScenario) -> int:
    pods = scenario.kube.list("pods", "", "app.kubernetes.io/name=memroll")
    assert pods, "no operator"
    return sum(c["restartCount"] for p in pods for c in p["status"].get("containerStatuses", []))


CASES = [SoakCase("hostile-tenant", protect_leaking_service, further_namespaces=(TENANT,))]
