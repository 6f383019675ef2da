from __future__ import annotations

import re
from typing import Any

import pytest

from memroll_demo import __main__ as demo
from memroll_demo import assertions, real_demo
from memroll_demo.cluster import ROOT, DemoCluster
from memroll_demo.real_demo import HERE, HOLDER, REAL_SYSTEMS, MountedSources, RealScenario
from tests.pod_security import RESTRICTED

IMAGES = {name: f"an/{name}:1" for one in REAL_SYSTEMS.values() for name, _ in one.images}
PROGRAMS = [(one, program) for one in REAL_SYSTEMS.values() for program in one.programs]


def scenario_of(one: real_demo.RealSystem) -> RealScenario:
    names = tuple(p.name for p in one.programs)
    images = tuple((name, IMAGES[name]) for name, _ in one.images)
    cluster = DemoCluster("config", "http://prometheus", "kubectl", "helm", "base:1", local=True)
    return RealScenario(cluster, "trial", names, one, images)


def objects(one: real_demo.RealSystem) -> list[dict[str, Any]]:
    scenario = scenario_of(one)
    return [o for name in (one.name, *(n for n, _ in one.dependencies), "load") for o in scenario._load_manifests(name)]


def of_kind(one: real_demo.RealSystem, kind: str, name: str) -> dict[str, Any]:
    (found,) = [o for o in objects(one) if (o["kind"], o["metadata"]["name"]) == (kind, name)]
    return found


def pods(one: real_demo.RealSystem) -> dict[str, dict[str, Any]]:
    """Return the specs of all pods, by name."""
    found = {o["metadata"]["name"]: o for o in objects(one) if o["kind"] in ("Deployment", "Pod")}
    return {n: o["spec"] if o["kind"] == "Pod" else o["spec"]["template"]["spec"] for n, o in found.items()}


@pytest.mark.parametrize("one", REAL_SYSTEMS.values(), ids=lambda one: one.name)
def test_every_pod_meets_the_restricted_standard_and_has_its_image(one):
    for name, spec in pods(one).items():
        (container,) = spec["containers"]
        assert container["securityContext"] == RESTRICTED
        assert container["image"] == IMAGES.get(name, "base:1")


@pytest.mark.parametrize(("one", "program"), PROGRAMS, ids=lambda x: x.name)
def test_a_program_has_a_probe_a_policy_and_a_budget_that_forbids_an_outage(one, program):
    (container,) = pods(one)[program.name]["containers"]
    policy = of_kind(one, "MemoryPolicy", program.name)["spec"]
    ports = [p["containerPort"] for p in container["ports"]]
    environment = {e["name"]: e.get("value") for e in container["env"]}
    assert "python -m memroll_probe -- " in " ".join(container["command"])
    assert policy["evidence"]["http"]["port"] in ports
    assert environment["MEMROLL_PROBE_PORT"] == str(policy["evidence"]["http"]["port"])
    assert container["readinessProbe"]["httpGet"]["port"] in ports
    assert of_kind(one, "PodDisruptionBudget", program.name)["spec"]["minAvailable"] == 1
    for kind in ("Deployment", "Service", "PodDisruptionBudget", "MemoryPolicy"):
        assert of_kind(one, kind, program.name)["spec"]["selector"] in (
            {"app": program.name},
            {"matchLabels": {"app": program.name}},
        )


def test_the_two_langflows_differ_in_version_state_and_limit_only():
    old, new = ((pods(REAL_SYSTEMS["langflow"])[p.name]["containers"][0]) for p in REAL_SYSTEMS["langflow"].programs)
    assert {key for key in old if old[key] != new[key]} == {"image", "command", "env", "resources"}
    assert [(a["name"]) for a, b in zip(old["env"], new["env"], strict=True) if a != b] == ["LANGFLOW_DATABASE_URL"]
    policies = [
        of_kind(REAL_SYSTEMS["langflow"], "MemoryPolicy", p.name)["spec"] for p in REAL_SYSTEMS["langflow"].programs
    ]
    assert policies[0] | {"selector": 0} == policies[1] | {"selector": 0}


def test_each_langflow_has_a_database_of_its_own():
    (postgres,) = pods(REAL_SYSTEMS["langflow"])["postgres"]["containers"]
    (databases,) = [e["value"] for e in postgres["env"] if e["name"] == "DATABASES"]
    assert databases.split() == [p.name for p in REAL_SYSTEMS["langflow"].programs]


@pytest.mark.parametrize("requirements", sorted((HERE / "images").glob("*.txt")), ids=lambda p: p.stem)
def test_everything_that_is_installed_is_pinned_by_hash_and_names_no_index(requirements):
    text = requirements.read_text(encoding="utf-8")
    entries = re.findall(r"^(\S+==\S+)(?: ; [^\\\n]+)?((?: \\\n    --hash=sha256:[0-9a-f]{64})+)\n", text, re.MULTILINE)
    assert len(entries) == text.count("==") - text.count("platform_machine")
    assert "//" not in text


@pytest.mark.parametrize("one", REAL_SYSTEMS.values(), ids=lambda one: one.name)
def test_all_sources_of_an_image_exist(one):
    for _, image in one.images:
        dockerfile = (HERE / "images" / image.dockerfile).read_text(encoding="utf-8")
        for copied in re.findall(r"^COPY (\S+)", dockerfile, re.MULTILINE):
            assert (HERE / "images" / copied.replace("${VERSION}", image.version)).is_file()


def test_the_probe_is_mounted_with_the_folders_of_the_repository():
    probe = MountedSources.of("probe", ROOT / "probe", "memroll_probe/**/*.py")
    assert "memroll_probe/_bootstrap/sitecustomize.py" in probe.files
    config_map = probe.config_map("trial")
    assert all(re.fullmatch(r"[-._a-zA-Z0-9]+", key) for key in config_map["data"])
    mounted = probe.mount(of_kind(REAL_SYSTEMS["langflow"], "Deployment", "langflow-1-1-1"))
    (volume,) = [v for v in mounted["spec"]["template"]["spec"]["volumes"] if v["name"] == "probe"]
    laid_out = {item["path"]: config_map["data"][item["key"]] for item in volume["configMap"]["items"]}
    assert laid_out == probe.files


class RecordingCluster(DemoCluster):
    """Cluster that records applied objects."""

    def __init__(self) -> None:
        super().__init__("config", "http://prometheus", "kubectl", "helm", "base:1", local=True)
        object.__setattr__(self, "applied", [])

    def apply(self, *objects: dict[str, Any]) -> None:
        self.applied.extend(objects)  # type: ignore[attr-defined] # set above

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        return ""

    def get(self, kinds: str, namespace: str, name: str = "") -> Any:
        return {"status": {"phase": "Running"}} if kinds == "pod" else {"spec": {"clusterIP": f"ip-of-{name}"}}


def test_the_database_is_started_first_and_its_address_is_in_a_secret():
    cluster, langflow = RecordingCluster(), REAL_SYSTEMS["langflow"]
    scenario = RealScenario(cluster, "trial", scenario_of(langflow).services, langflow, tuple(IMAGES.items()))
    scenario.set_up()
    applied: list[dict[str, Any]] = cluster.applied  # type: ignore[attr-defined] # as above
    named = [(o["kind"], o["metadata"]["name"]) for o in applied]
    assert named.index(("Deployment", "postgres")) < named.index(("Deployment", "langflow-1-1-1"))
    state = [o for o in applied if o["kind"] == "Secret"][-1]["stringData"]
    for name in scenario.services:
        assert state[name] == f"postgresql://langflow:{state['password']}@ip-of-postgres:5432/{name}"
    (pod,) = [o for o in applied if o["kind"] == "Pod"]
    (container,) = pod["spec"]["containers"]
    assert {"name": "VISITS", "value": "memroll_real.langflow"} in container["env"]
    (program,) = [o for o in applied if o["metadata"]["name"] == "program"]
    assert {"load.py", "memroll_real--langflow.py", "memroll_real--json_client.py"} <= set(program["data"])


def test_on_other_clusters_variables_must_name_the_images(monkeypatch):
    foreign = DemoCluster("config", "http://prometheus", "kubectl", "helm", "an/image:1", local=False)
    monkeypatch.delenv("LANGFLOW_1_1_1_IMAGE", raising=False)
    with pytest.raises(AssertionError, match="needs LANGFLOW_1_1_1_IMAGE"):
        RealScenario.of(foreign, REAL_SYSTEMS["langflow"])


def roll(first: str = "langflow/utils/validate.py", holder: str = HOLDER, phase: str = "Succeeded") -> dict[str, Any]:
    kinds = [{"type": "langflow.graph.graph.base.Graph", "referrers": [f"growing dict in {holder}"]}]
    probe = {"growth": [{"file": first, "line": 217, "bytes": 9}], "types": kinds}
    return {
        "spec": {"podName": "langflow-1-1-1-84f-x"},
        "status": {"phase": phase, "evidence": {"probe": probe}},
    }


@pytest.mark.parametrize(
    ("rolls", "lines", "holder"),
    [
        pytest.param([roll(), roll("/usr/lib/python3.11/json/decoder.py")], True, True, id="both named"),
        pytest.param([roll(), roll("app/other.py")], False, True, id="another line in one of two"),
        pytest.param([roll(), roll(holder="a list")], True, True, id="one of two without the holder"),
        pytest.param([roll(holder="a list")], True, False, id="no holder"),
        pytest.param([roll(phase="Failed")], False, False, id="a roll that failed"),
        pytest.param([], False, False, id="no roll"),
    ],
)
def test_the_evidence_must_name_lines_and_holder(rolls, lines, holder):
    assert real_demo.check_allocating_lines(rolls, "langflow-1-1-1").ok is lines
    assert real_demo.check_holder(rolls, "langflow-1-1-1").ok is holder


def test_each_holder_is_shown_once():
    shown = assertions.format_holders([roll(), roll()], "langflow-1-1-1")
    assert shown == f"  held by growing dict in {HOLDER}"
    assert assertions.format_holders([], "langflow-1-1-1") == ""


def test_the_real_systems_are_selectable_by_name():
    assert set(REAL_SYSTEMS) < set(demo.DEMOS)
