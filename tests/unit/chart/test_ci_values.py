"""Values of realistic installations (`ci/*-values.yaml`, as chart-testing names them): each can be installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from tests.unit.chart.rendering import CHART, KUBERNETES, LOADER, NAMESPACE, named, of_kind, pod_specs

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.chart.rendering import Helm

FILES = sorted((CHART / "ci").glob("*-values.yaml"))
by_file = pytest.mark.parametrize("values", FILES, ids=lambda file: file.name.removesuffix("-values.yaml"))


def test_there_are_files_of_several_installations() -> None:
    assert len(FILES) >= 5


@by_file
def test_the_chart_passes_helm_lint_strictly(helm: Helm, values: Path) -> None:
    output = helm.run("lint", "--strict", "--kube-version", KUBERNETES, str(CHART), "--values", str(values))
    assert "0 chart(s) failed" in output
    assert "[INFO]" not in output, "such as a recommended icon"


@by_file
def test_no_object_is_rendered_twice(helm: Helm, values: Path) -> None:
    objects = [(m["kind"], m["metadata"].get("namespace"), m["metadata"]["name"]) for m in helm.render_file(values)]
    assert len(objects) == len(set(objects))


@by_file
def test_all_containers_are_restricted_and_have_bounds(helm: Helm, values: Path) -> None:
    for name, pod in pod_specs(helm.render_file(values)).items():
        assert pod["securityContext"]["runAsNonRoot"] is True
        for container in (*pod["containers"], *pod.get("initContainers", [])):
            security, resources = container["securityContext"], container["resources"]
            assert security["capabilities"] == {"drop": ["ALL"]}, name
            assert (security["allowPrivilegeEscalation"], security["readOnlyRootFilesystem"]) == (False, True), name
            assert resources["limits"].keys() >= {"memory", "ephemeral-storage"}, name
            assert resources["requests"].keys() >= {"cpu", "memory", "ephemeral-storage"}, name


@by_file
def test_the_values_differ_from_the_defaults(values: Path) -> None:
    assert yaml.load(values.read_text(encoding="utf-8"), Loader=LOADER)


def file_named(name: str) -> Path:
    return CHART / "ci" / f"{name}-values.yaml"


def test_a_signing_proxy_runs_next_to_the_operator_and_to_the_preflight(helm: Helm) -> None:
    pods = pod_specs(helm.render_file(file_named("signing-proxy")))
    containers = {name: [c["name"] for c in pod["containers"]] for name, pod in pods.items()}
    assert containers["memroll"] == ["operator", "sigv4-proxy"]
    assert containers["memroll-test-check"] == ["check"], "an ordinary container would keep the pod from ending"
    (sidecar,) = pods["memroll-test-check"]["initContainers"]
    assert (sidecar["name"], sidecar["restartPolicy"]) == ("sigv4-proxy", "Always")
    assert "initContainers" not in pods["memroll-test-ready"] | pods["memroll-pre-delete"], "they read no Prometheus"


def test_additional_objects_are_templates(helm: Helm) -> None:
    manifests = helm.render_file(file_named("tenants"))
    assert of_kind(manifests, "ResourceQuota")[0]["metadata"] == {"name": "memroll-podrolls", "namespace": "team-a"}
    owners = named(manifests, "ConfigMap", "memroll-owners")
    assert owners["data"] == {"namespace": NAMESPACE}
    assert owners["metadata"]["labels"]["cost-center"] == "platform"


def test_helm_test_passes_the_network_policy(helm: Helm) -> None:
    manifests = helm.render_file(file_named("high-availability"))
    spec = of_kind(manifests, "NetworkPolicy")[0]["spec"]
    selected = {value for e in spec["podSelector"]["matchExpressions"] for value in e["values"]}
    assert selected == {m["metadata"]["labels"]["app.kubernetes.io/component"] for m in of_kind(manifests, "Pod")} | {
        "operator",
        "pre-delete",
    }
    (ingress,) = spec["ingress"]
    labels = of_kind(manifests, "Pod")[0]["metadata"]["labels"]
    admitted = [peer["podSelector"]["matchLabels"] for peer in ingress["from"] if "podSelector" in peer]
    assert [peer.items() <= labels.items() for peer in admitted] == [True]
    reached = [rule["ports"] for rule in spec["egress"] if "podSelector" in rule.get("to", [{}])[0]]
    assert reached == [[{"port": 8080, "protocol": "TCP"}]]
