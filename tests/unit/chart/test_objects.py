"""The objects that the chart renders."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import yaml

from memroll.clients.prometheus.config import load
from memroll.settings import PREFIX, Settings, from_environment
from tests.unit.chart.rendering import (
    CHART,
    CONNECTION,
    EVERYTHING,
    NAMESPACE,
    container,
    environment,
    named,
    of_kind,
    pod_specs,
    template,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.chart.rendering import Helm

TOKEN = "/etc/memroll/secrets/token/value"
RESTRICTED_POD = {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}}
RESTRICTED = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}


def test_several_releases_can_share_a_cluster(helm: Helm) -> None:
    ours, theirs = (
        {(m["kind"], m["metadata"]["name"]) for m in helm.render("crds.install=false", release=release)}
        for release in ("memroll", "second")
    )
    assert not ours & theirs


def test_all_environment_variables_of_the_deployment_are_settings(helm: Helm) -> None:
    given = environment(helm.render())
    assert {name.removeprefix(PREFIX).lower() for name in given} == Settings.model_fields.keys() - {"http_host"}
    settings = from_environment(given)
    assert settings.excluded_namespaces == ("kube-system", "kube-public", "kube-node-lease", NAMESPACE)
    assert settings.watch_namespaces == ()
    for name in (
        "http_port", "lease_seconds", "max_policies_at_once", "max_rolls_per_hour", "max_namespace_share",
        "namespace_quota", "log_format", "log_level", "lease_name",
    ):  # fmt: skip
        assert getattr(settings, name) == Settings.model_fields[name].default, name


def test_all_pods_meet_the_restricted_standard(helm: Helm) -> None:
    manifests = helm.render(*EVERYTHING)
    pods = list(pod_specs(manifests).values())
    assert len(pods) == 4
    for pod in pods:
        assert RESTRICTED_POD.items() <= pod["securityContext"].items()
        assert [c["securityContext"] for c in pod["containers"]] == [RESTRICTED]
        assert all(volume.keys() & {"configMap", "secret", "emptyDir"} for volume in pod.get("volumes", []))
    assert [pod["automountServiceAccountToken"] for pod in pods] == [True, True, True, False]


def test_the_pod_is_probed_scraped_and_limited(helm: Helm) -> None:
    manifests = helm.render()
    ours = container(manifests)
    assert ours["args"] == ["operator"]
    assert ours["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}
    assert ours["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}
    assert ours["resources"] == {
        "requests": {"cpu": "50m", "memory": "128Mi", "ephemeral-storage": "64Mi"},
        "limits": {"memory": "384Mi", "ephemeral-storage": "256Mi"},
    }
    pod = template(manifests)
    scraped = {k: v for k, v in pod["metadata"]["annotations"].items() if k.startswith("prometheus.io/")}
    assert scraped == {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": "8080",
        "prometheus.io/path": "/metrics",
    }
    assert pod["spec"]["enableServiceLinks"] is False, "they would set MEMROLL_PORT and others"


def test_the_operator_reads_the_rendered_connections(helm: Helm, tmp_path: Path) -> None:
    full = {
        "url": "https://thanos:9091", "method": "GET", "authorization": {"credentialsFile": TOKEN},
        "tls": {"caFile": "/ca", "certFile": "/c", "keyFile": "/k", "serverName": "thanos"},
        "headers": {"X-Scope-OrgID": "a"}, "queryParams": {"tenant": "1"}, "matchLabels": {"cluster": "prod-eu"},
        "timeoutSeconds": 7.5,
    }  # fmt: skip
    basic = {"url": "http://p/prom", "basicAuth": {"username": "u", "passwordFile": "/p"}}
    manifests = helm.render(
        f"{CONNECTION}={json.dumps(full)}",
        f"prometheus.connections.basic={json.dumps(basic)}",
        "prometheus.secrets=[{name: token}]",
        url=False,
    )
    file = tmp_path / "connections.yaml"
    file.write_text(named(manifests, "ConfigMap", "memroll-connections")["data"]["connections.yaml"])
    read = load(file)
    assert read.get("default").model_dump(mode="json", by_alias=True, exclude_unset=True) == full
    assert read.get("basic").model_dump(mode="json", by_alias=True, exclude_unset=True) == basic
    mounts = {m["mountPath"]: m for m in container(manifests)["volumeMounts"]}
    assert mounts.keys() == {"/etc/memroll/connections.yaml", "/etc/memroll/secrets/token", "/tmp"}
    assert environment(manifests)["MEMROLL_CONNECTIONS_FILE"] in mounts


def test_changed_connections_restart_the_pod(helm: Helm) -> None:
    def checksum(*sets: str) -> str:
        return str(template(helm.render(*sets))["metadata"]["annotations"]["checksum/connections"])

    assert checksum() == checksum("replicaCount=2")
    assert checksum() != checksum(f"{CONNECTION}.timeoutSeconds=3")


def test_the_crds_are_the_generated_ones_and_are_kept_after_an_uninstall(helm: Helm) -> None:
    files = [yaml.safe_load(p.read_text()) for p in sorted((CHART / "files" / "crds").glob("*.yaml"))]
    rendered = of_kind(helm.render(), "CustomResourceDefinition")
    assert files
    assert [m["spec"] for m in sorted(rendered, key=lambda m: str(m["metadata"]["name"]))] == [m["spec"] for m in files]
    assert all(m["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep" for m in rendered)
    loose = of_kind(helm.render("crds.keep=false", "crds.annotations={a: b}"), "CustomResourceDefinition")
    assert all(m["metadata"]["annotations"] == {"a": "b"} for m in loose)
    assert not of_kind(helm.render("crds.install=false"), "CustomResourceDefinition")


def test_two_replicas_are_spread_and_protected_from_drains(helm: Helm) -> None:
    assert not of_kind(helm.render(), "PodDisruptionBudget")
    manifests = helm.render("replicaCount=2")
    assert of_kind(manifests, "PodDisruptionBudget")[0]["spec"]["maxUnavailable"] == 1
    assert template(manifests)["spec"]["topologySpreadConstraints"]


def test_the_image_is_named_by_tag_or_digest(helm: Helm) -> None:
    digest = "sha256:" + "0" * 64
    assert container(helm.render())["image"] == "memroll:0.1.0"
    assert container(helm.render("image.repository=localhost/m", "image.tag=dev"))["image"] == "localhost/m:dev"
    assert container(helm.render(f"image.digest={digest}", "image.tag=dev"))["image"] == f"memroll@{digest}"


def test_additional_labels_volumes_and_variables_are_rendered(helm: Helm) -> None:
    manifests = helm.render(
        "podLabels={app.kubernetes.io/name: other, team: a}", "podAnnotations={x: y}", "commonLabels={cost: b}",
        "nodeSelector={disk: ssd}", "tolerations=[{operator: Exists}]", "priorityClassName=high",
        "imagePullSecrets=[{name: pull}]", "extraEnv=[{name: A, value: b}]", "extraVolumes=[{name: v, emptyDir: {}}]",
        "extraVolumeMounts=[{name: v, mountPath: /v}]", "affinity={nodeAffinity: {}}",
    )  # fmt: skip
    pod = template(manifests)
    selector = of_kind(manifests, "Deployment")[0]["spec"]["selector"]["matchLabels"]
    assert selector.items() <= pod["metadata"]["labels"].items(), "a pod label must not break the selector"
    assert pod["metadata"]["labels"]["team"] == "a"
    assert pod["metadata"]["annotations"]["x"] == "y"
    assert all(m["metadata"]["labels"]["cost"] == "b" for m in manifests)
    assert {"nodeSelector", "tolerations", "priorityClassName", "imagePullSecrets", "affinity"} <= pod["spec"].keys()
    assert container(manifests)["env"][-1] == {"name": "A", "value": "b"}
    assert container(manifests)["volumeMounts"][-1] == {"name": "v", "mountPath": "/v"}


def test_the_service_selects_the_operator_and_not_the_test(helm: Helm) -> None:
    manifests = helm.render()
    selector = of_kind(manifests, "Service")[0]["spec"]["selector"]
    pods = of_kind(manifests, "Pod")
    assert not any(selector.items() <= pod["metadata"]["labels"].items() for pod in pods)
    (ready,) = (pod for pod in pods if pod["metadata"]["name"].endswith("-ready"))
    compile(ready["spec"]["containers"][0]["command"][2], "ready", "exec")
