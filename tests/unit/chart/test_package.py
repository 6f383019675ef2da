"""The packaged chart: metadata from variables, links that work, and the annotations of Artifact Hub."""

from __future__ import annotations

import base64
import importlib.util
import re
import sys
import tarfile
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from memroll.api.pod_roll import PodRoll
from memroll.api.policy import MemoryPolicy
from tests.builders import policy_json
from tests.unit.chart.rendering import CHART, ROOT

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from tests.unit.chart.rendering import Helm

CHART_YAML: dict[str, Any] = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
HUB = "artifacthub.io/"
DOCS = "https://git.example.com/memroll/blob/main/docs"
EVERYTHING = {
    "home": "https://memroll.example.com",
    "source": "https://git.example.com/memroll",
    "docs": DOCS,
    "maintainers": "Team Memory <memory@example.com>, Someone, Other <https://example.com/other>",
    "image": "registry.example.com/memroll",
}


def annotation(name: str) -> Any:
    return yaml.safe_load(CHART_YAML["annotations"][f"{HUB}{name}"])


@pytest.fixture(scope="module")
def packaging() -> ModuleType:
    spec = importlib.util.spec_from_file_location("package_chart", ROOT / "deploy/helm/package.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def unpack(packaging: ModuleType, helm: Helm, folder: Path, **variables: str) -> tuple[Path, dict[str, str]]:
    """Package the chart; return the file and its texts."""
    file = packaging.package(packaging.Publication(**variables), folder, helm.path)
    with tarfile.open(file) as tar:
        texts = {m.name.removeprefix("memroll/"): tar.extractfile(m).read().decode() for m in tar if m.isfile()}  # type: ignore[union-attr]
    return file, texts


def test_what_is_empty_is_left_out(packaging: ModuleType, helm: Helm, tmp_path: Path) -> None:
    file, texts = unpack(packaging, helm, tmp_path)
    assert yaml.safe_load(texts["Chart.yaml"]) == CHART_YAML
    assert file.name == f"memroll-{CHART_YAML['version']}.tgz"
    assert "](../" not in texts["README.md"]
    assert "See docs/install.md for" in texts["README.md"]
    assert texts["values.yaml"] == (CHART / "values.yaml").read_text(encoding="utf-8")
    assert not [name for name in texts if name.startswith("ci/")]
    assert texts["LICENSE"] == (ROOT / "LICENSE").read_text(encoding="utf-8")


def test_each_variable_completes_the_chart(packaging: ModuleType, helm: Helm, tmp_path: Path) -> None:
    _, texts = unpack(packaging, helm, tmp_path, **EVERYTHING)
    chart = yaml.safe_load(texts["Chart.yaml"])
    assert (chart["home"], chart["sources"]) == (EVERYTHING["home"], [EVERYTHING["source"]])
    assert chart["maintainers"] == [
        {"name": "Team Memory", "email": "memory@example.com"},
        {"name": "Someone"},
        {"name": "Other", "url": "https://example.com/other"},
    ]
    image = f"registry.example.com/memroll:{CHART_YAML['appVersion']}"
    assert yaml.safe_load(chart["annotations"][f"{HUB}images"]) == [{"name": "memroll", "image": image}]
    links = {link["name"]: link["url"] for link in yaml.safe_load(chart["annotations"][f"{HUB}links"])}
    assert links == {"Documentation": DOCS, "Source": EVERYTHING["source"]}
    assert yaml.safe_load(texts["values.yaml"])["image"]["repository"] == "registry.example.com/memroll"


def test_the_links_of_the_packaged_readme_lead_to_pages_that_exist(
    packaging: ModuleType, helm: Helm, tmp_path: Path
) -> None:
    _, texts = unpack(packaging, helm, tmp_path, **EVERYTHING)
    links = [link for link in re.findall(r"\]\(([^)]+)\)", texts["README.md"]) if not link.startswith("#")]
    assert links
    assert [link for link in links if not link.startswith(f"{DOCS}/")] == []
    pages = {link.removeprefix(f"{DOCS}/").partition("#")[0] for link in links}
    assert [page for page in pages if not (ROOT / "docs" / page).is_file()] == []


def test_alerts_of_a_packaged_chart_link_to_its_docs(packaging: ModuleType, helm: Helm, tmp_path: Path) -> None:
    file, _ = unpack(packaging, helm, tmp_path, **EVERYTHING)
    options = ("--set", "metrics.prometheusRule.enabled=true", "--set", "prometheus.connections.default.url=http://p")
    rendered = helm.run("template", "memroll", str(file), "--kube-version", "1.35.0", *options)
    assert f"runbook_url: {DOCS}/runbooks.md#memrolldown\n" in rendered


def test_a_maintainer_that_cant_be_read_is_an_error(packaging: ModuleType) -> None:
    with pytest.raises(packaging.PackageError, match="'a <b> <c>' is not"):
        packaging.read_maintainers("Someone, a <b> <c>")


def test_the_icon_is_that_of_the_repository() -> None:
    kind, _, data = CHART_YAML["icon"].partition(",")
    assert kind == "data:image/svg+xml;base64"
    assert base64.b64decode(data) == (ROOT / "deploy/helm/icon.svg").read_bytes()


def test_the_annotations_list_all_kinds_of_the_chart() -> None:
    crds = [yaml.safe_load(file.read_text(encoding="utf-8")) for file in sorted((CHART / "files/crds").glob("*.yaml"))]
    listed = {(crd["kind"], crd["name"], crd["version"]) for crd in annotation("crds")}
    assert listed == {
        (crd["spec"]["names"]["kind"], crd["metadata"]["name"], version["name"])
        for crd in crds
        for version in crd["spec"]["versions"]
    }
    assert {example["kind"] for example in annotation("crdsExamples")} == {kind for kind, _, _ in listed}


def test_the_examples_of_the_annotations_are_valid() -> None:
    metadata = policy_json({})["metadata"]
    for example in annotation("crdsExamples"):
        read = {"MemoryPolicy": MemoryPolicy.read, "PodRoll": PodRoll.read}[example["kind"]]
        assert read(example | {"metadata": metadata | example["metadata"]})


def test_changes_have_a_kind_and_a_text() -> None:
    kinds = {"added", "changed", "deprecated", "removed", "fixed", "security"}
    assert all(change["kind"] in kinds and change["description"] for change in annotation("changes"))
    has_security = any(change["kind"] == "security" for change in annotation("changes"))
    assert annotation("containsSecurityUpdates") is has_security
