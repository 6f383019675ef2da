from __future__ import annotations

import re
from typing import Any

import pytest

from memroll_demo import __main__ as demo
from memroll_demo import proof, real
from memroll_demo.real import HERE, HOLDER, REAL, Mounted, RealStage
from memroll_demo.site import ROOT, Site
from tests.restricted import RESTRICTED

IMAGES = {name: f"an/{name}:1" for one in REAL.values() for name, _ in one.images}
PROGRAMS = [(one, program) for one in REAL.values() for program in one.programs]


def stage_of(one: real.Real) -> RealStage:
    names = tuple(p.name for p in one.programs)
    images = tuple((name, IMAGES[name]) for name, _ in one.images)
    where = Site("config", "http://prometheus", "kubectl", "helm", "base:1", local=True)
    return RealStage(where, "trial", names, one, images)


def objects(one: real.Real) -> list[dict[str, Any]]:
    stage = stage_of(one)
    return [o for name in (one.name, *(n for n, _ in one.beside), "load") for o in stage._placed(name)]


def of_kind(one: real.Real, kind: str, name: str) -> dict[str, Any]:
    (found,) = [o for o in objects(one) if (o["kind"], o["metadata"]["name"]) == (kind, name)]
    return found


def pods(one: real.Real) -> dict[str, dict[str, Any]]:
    """Return the specs of all pods, by name."""
    found = {o["metadata"]["name"]: o for o in objects(one) if o["kind"] in ("Deployment", "Pod")}
    return {n: o["spec"] if o["kind"] == "Pod" else o["spec"]["template"]["spec"] for n, o in found.items()}


@pytest.mark.parametrize("one", REAL.values(), ids=lambda one: one.name)
def test_every_pod_meets_the_restricted_standard_and_has_its_image(one):
    for name, spec in pods(one).items():
        (container,) = spec["containers"]
        assert container["securityContext"] == RESTRICTED
        assert container["image"] == IMAGES.get(name, "base:1")


@pytest.mark.parametrize(("one", "program"), PROGRAMS, ids=lambda x: x.name)
def test_a_program_is_probed_watched_and_never_without_a_pod(one, program):
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
    old, new = ((pods(REAL["langflow"])[p.name]["containers"][0]) for p in REAL["langflow"].programs)
    assert {key for key in old if old[key] != new[key]} == {"image", "command", "env", "resources"}
    assert [(a["name"]) for a, b in zip(old["env"], new["env"], strict=True) if a != b] == ["LANGFLOW_DATABASE_URL"]
    policies = [of_kind(REAL["langflow"], "MemoryPolicy", p.name)["spec"] for p in REAL["langflow"].programs]
    assert policies[0] | {"selector": 0} == policies[1] | {"selector": 0}


def test_each_langflow_has_a_database_of_its_own():
    (postgres,) = pods(REAL["langflow"])["postgres"]["containers"]
    (databases,) = [e["value"] for e in postgres["env"] if e["name"] == "DATABASES"]
    assert databases.split() == [p.name for p in REAL["langflow"].programs]


@pytest.mark.parametrize("requirements", sorted((HERE / "images").glob("*.txt")), ids=lambda p: p.stem)
def test_everything_that_is_installed_is_pinned_by_hash_and_names_no_index(requirements):
    text = requirements.read_text(encoding="utf-8")
    entries = re.findall(r"^(\S+==\S+)(?: ; [^\\\n]+)?((?: \\\n    --hash=sha256:[0-9a-f]{64})+)\n", text, re.MULTILINE)
    assert len(entries) == text.count("==") - text.count("platform_machine")
    assert "//" not in text


@pytest.mark.parametrize("one", REAL.values(), ids=lambda one: one.name)
def test_all_that_an_image_is_built_from_is_there(one):
    for _, image in one.images:
        dockerfile = (HERE / "images" / image.dockerfile).read_text(encoding="utf-8")
        for copied in re.findall(r"^COPY (\S+)", dockerfile, re.MULTILINE):
            assert (HERE / "images" / copied.replace("${VERSION}", image.version)).is_file()


def test_the_probe_is_mounted_as_it_lies_in_the_repository():
    probe = Mounted.of("probe", ROOT / "probe", "memroll_probe/**/*.py")
    assert "memroll_probe/_bootstrap/sitecustomize.py" in probe.files
    made = probe.as_object("trial")
    assert all(re.fullmatch(r"[-._a-zA-Z0-9]+", key) for key in made["data"])
    mounted = probe.into(of_kind(REAL["langflow"], "Deployment", "langflow-1-1-1"))
    (volume,) = [v for v in mounted["spec"]["template"]["spec"]["volumes"] if v["name"] == "probe"]
    laid_out = {item["path"]: made["data"][item["key"]] for item in volume["configMap"]["items"]}
    assert laid_out == probe.files


class Recording(Site):
    """Notes what is applied."""

    def __init__(self) -> None:
        super().__init__("config", "http://prometheus", "kubectl", "helm", "base:1", local=True)
        object.__setattr__(self, "applied", [])

    def apply(self, *objects: dict[str, Any]) -> None:
        self.applied.extend(objects)  # type: ignore[attr-defined] # set above

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        return ""

    def get(self, kinds: str, namespace: str, name: str = "") -> Any:
        return {"status": {"phase": "Running"}} if kinds == "pod" else {"spec": {"clusterIP": f"ip-of-{name}"}}


def test_the_state_is_there_before_what_needs_it_and_knows_where_it_is():
    site = Recording()
    stage = RealStage(site, "trial", stage_of(REAL["langflow"]).services, REAL["langflow"], tuple(IMAGES.items()))
    stage.set_up()
    applied: list[dict[str, Any]] = site.applied  # type: ignore[attr-defined] # as above
    named = [(o["kind"], o["metadata"]["name"]) for o in applied]
    assert named.index(("Deployment", "postgres")) < named.index(("Deployment", "langflow-1-1-1"))
    state = [o for o in applied if o["kind"] == "Secret"][-1]["stringData"]
    for name in stage.services:
        assert state[name] == f"postgresql://langflow:{state['password']}@ip-of-postgres:5432/{name}"
    (pod,) = [o for o in applied if o["kind"] == "Pod"]
    (container,) = pod["spec"]["containers"]
    assert {"name": "VISITS", "value": "memroll_real.langflow"} in container["env"]
    (program,) = [o for o in applied if o["metadata"]["name"] == "program"]
    assert {"load.py", "memroll_real--langflow.py", "memroll_real--talking.py"} <= set(program["data"])


def test_a_cluster_that_is_not_ours_must_be_given_the_images(monkeypatch):
    foreign = Site("config", "http://prometheus", "kubectl", "helm", "an/image:1", local=False)
    monkeypatch.delenv("LANGFLOW_1_1_1_IMAGE", raising=False)
    with pytest.raises(AssertionError, match="needs LANGFLOW_1_1_1_IMAGE"):
        RealStage.of(foreign, REAL["langflow"])


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
    assert real.lines_named(rolls, "langflow-1-1-1").ok is lines
    assert real.holder_named(rolls, "langflow-1-1-1").ok is holder


def test_holders_are_shown_once_each():
    shown = proof.holders_shown([roll(), roll()], "langflow-1-1-1")
    assert shown == f"  held by growing dict in {HOLDER}"
    assert proof.holders_shown([], "langflow-1-1-1") == ""


def test_the_real_ones_are_known_by_name():
    assert set(REAL) < set(demo.PLAYS)
