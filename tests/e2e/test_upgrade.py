"""An upgrade of chart and image, from the last lower version to the working copy, while a roll is in progress."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from memroll_demo.cluster import ROOT
from tests.e2e import objects
from tests.e2e.images import OPERATOR
from tests.e2e.previous_version import CHART_FILE, HistoryMissingError, check_out, find_previous
from tests.soak.roll_scenario import APP, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from memroll_demo.cluster import DemoCluster

# The CRDs of the older version are those of the whole cluster meanwhile.
pytestmark = [pytest.mark.cluster, pytest.mark.alone, pytest.mark.timeout(900)]

RELEASE = "memroll-upgrade"
OLD_IMAGE = "localhost/memroll:previous"
DRAIN_S = 120
"""Duration of the drain during which the upgrade takes place; an upgrade takes about half a minute."""


@dataclass(frozen=True)
class OldVersion:
    """Tree and image of the older version."""

    tree: Path
    image: str

    @property
    def chart(self) -> Path:
        return self.tree / "deploy/helm/memroll"


@pytest.fixture
def old_version(cluster: DemoCluster, tmp_path: Path) -> OldVersion:
    try:
        commit = find_previous(ROOT)
    except HistoryMissingError as missing:
        pytest.skip(str(missing))
    if not cluster.local and not os.environ.get("MEMROLL_PREVIOUS_IMAGE"):
        pytest.skip("CLUSTER=current needs MEMROLL_PREVIOUS_IMAGE, the image of the older version")
    tree = check_out(ROOT, commit, tmp_path / "previous")
    image = cluster.build_image(OLD_IMAGE, tree / "deploy/image/Dockerfile", tree, "MEMROLL_PREVIOUS_IMAGE")
    return OldVersion(tree, image)


@pytest.fixture
def release(cluster: DemoCluster, old_version: OldVersion, area: str) -> Iterator[OldVersion]:
    """Install the older version as a separate release, and remove it; the CRDs are then those of the working copy."""
    cluster.kubectl("delete", "namespace", RELEASE, "--ignore-not-found")
    try:
        cluster.install(RELEASE, RELEASE, old_version.image, [area], chart=old_version.chart)
        yield old_version
    finally:
        cluster.helm("uninstall", RELEASE, "-n", RELEASE, "--no-hooks", "--ignore-not-found")
        cluster.kubectl("delete", "namespace", RELEASE, "--wait=false", "--ignore-not-found")
        if crd_charts(cluster) != {chart_label(ROOT / CHART_FILE)}:  # the test failed before the upgrade
            cluster.kubectl("replace", "-f", str(ROOT / "deploy/crds"))


def chart_label(chart_file: Path) -> str:
    """Return the label by which the objects of a chart name it."""
    chart = yaml.safe_load(chart_file.read_text(encoding="utf-8"))
    return f"{chart['name']}-{chart['version']}"


def field_paths(schema: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield the paths of all fields of a schema."""
    for name, child in schema.get("properties", {}).items():
        yield f"{prefix}{name}"
        yield from field_paths(child, f"{prefix}{name}.")
        yield from field_paths(child.get("items", {}), f"{prefix}{name}[].")


def crd_fields(crd: dict[str, Any]) -> set[str]:
    (version,) = crd["spec"]["versions"]
    return set(field_paths(version["schema"]["openAPIV3Schema"]))


def installed_crds(cluster: DemoCluster) -> dict[str, dict[str, Any]]:
    names = [crd["metadata"]["name"] for crd in present_crds()]
    found = json.loads(cluster.kubectl("get", "crd", *names, "-o", "json"))
    return {crd["metadata"]["name"]: crd for crd in found["items"]}


def present_crds() -> list[dict[str, Any]]:
    return [yaml.safe_load(file.read_text(encoding="utf-8")) for file in sorted((ROOT / "deploy/crds").glob("*.yaml"))]


def crd_charts(cluster: DemoCluster) -> set[str]:
    return {crd["metadata"]["labels"]["helm.sh/chart"] for crd in installed_crds(cluster).values()}


def contains(found: Any, expected: Any) -> bool:
    """Compare an object with what was applied; the API server adds defaults, the newer version perhaps more of them."""
    if isinstance(expected, dict):
        return isinstance(found, dict) and all(contains(found.get(key), value) for key, value in expected.items())
    return bool(found == expected)


@pytest.mark.area("upgrade", watched=False)
@pytest.mark.watches("memroll-upgrade-none")  # without a namespace the shared operator would watch all
def test_an_upgrade_keeps_policies_and_continues_a_roll_without_a_failed_request(cluster, scenario, release):
    assert crd_charts(cluster) == {chart_label(release.tree / CHART_FILE)}
    image = cluster.build_operator_image(OPERATOR)
    scenario.deploy(replicas=2, budget={"minAvailable": 2})
    scenario.start_load()
    applied = objects.policy(scenario.namespace, APP, mode="Observe")
    cluster.apply(applied)
    ended = scenario.create_roll(scenario.get_oldest_pod())
    ended_status = scenario.wait_until_ended(ended)
    assert ended_status["phase"] == "Succeeded", ended_status
    scenario.wait_until_settled(2)
    old_pod = scenario.get_oldest_pod()
    roll = scenario.create_roll(
        old_pod, drain={"mode": "Detach", "minDuration": f"{DRAIN_S}s", "timeout": f"{2 * DRAIN_S}s"}
    )
    wait_until("the drain", lambda: scenario.get_phase(roll) == "Draining", timeout_s=120)
    policy = cluster.get("mempol", scenario.namespace, APP)

    cluster.install(RELEASE, RELEASE, image, [scenario.namespace])
    assert scenario.get_phase(roll) == "Draining", "the upgrade must take place during the roll: raise DRAIN_S"
    deployment = cluster.get("deployments", RELEASE, RELEASE)
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == image

    status = scenario.wait_until_ended(roll, timeout_s=3 * DRAIN_S)
    assert (status["phase"], scenario.reasons) == ("Succeeded", [])
    scenario.wait_until_settled(2)
    scenario.stop_load()
    assert [load.failures for load in scenario.loads] == [[], []]
    assert all(load.served > 0 for load in scenario.loads)
    assert scenario.get_pod(old_pod["metadata"]["name"]) is None
    assert (scenario.count_oom_kills(), scenario.find_orphaned_pods()) == (0, [])

    kept = cluster.get("mempol", scenario.namespace, APP)
    assert kept["metadata"]["uid"] == policy["metadata"]["uid"]
    assert contains(kept["spec"], applied["spec"])
    assert {r["metadata"]["name"] for r in scenario.list_rolls()} == {ended, roll}
    assert scenario.get_roll_status(ended).items() >= {"phase": "Succeeded", "times": ended_status["times"]}.items()
    assert crd_charts(cluster) == {chart_label(ROOT / CHART_FILE)}
    installed = installed_crds(cluster)
    for crd in present_crds():
        assert crd_fields(installed[crd["metadata"]["name"]]) == crd_fields(crd)

    after = scenario.create_roll(scenario.get_oldest_pod())
    assert scenario.wait_until_ended(after)["phase"] == "Succeeded", "the new version also begins rolls"
