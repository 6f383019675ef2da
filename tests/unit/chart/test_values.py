"""Validation of the chart's values."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from memroll.clients.prometheus.config import Connection
from tests.unit.chart.rendering import CHART, CONNECTION, KUBERNETES, URL, HelmError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.chart.rendering import Helm

# Values that the README lists as a whole.
WHOLE = {"dashboard.annotations", "dashboard.labels", "podSecurityContext", "resources", "securityContext"}
TWO_WAYS_IN = "{url: 'http://p', authorization: {credentialsFile: /t}, basicAuth: {username: u, passwordFile: /p}}"


def test_the_chart_passes_helm_lint_strictly(helm: Helm) -> None:
    output = helm.run("lint", "--strict", "--kube-version", KUBERNETES, str(CHART), "--set", URL)
    assert "0 chart(s) failed" in output


def test_only_the_url_has_no_default(helm: Helm) -> None:
    kinds = {m["kind"] for m in helm.render()}
    assert kinds == {
        "ClusterRole", "ClusterRoleBinding", "ConfigMap", "CustomResourceDefinition", "Deployment", "Job", "Pod",
        "Role", "RoleBinding", "Service", "ServiceAccount",
        "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        ([], "prometheus.connections.default.url is required"),
        ([f"{CONNECTION}=null"], "prometheus.connections.default.url is required"),
        (["prometheus.connections.thanos={timeoutSeconds: 3}", f"{CONNECTION}.url=http://p"], "thanos.url is required"),
        ([f"{CONNECTION}={TWO_WAYS_IN}"], "exclude each other"),
        ([f"{CONNECTION}={{url: 'http://p', tls: {{caFile: /ca}}}}"], "starts with https://"),
        ([f"{CONNECTION}={{url: 'https://p', tls: {{caFile: /etc/memroll/secrets/t/ca}}}}"], "not mounted"),
        ([f"{CONNECTION}.url=http://p", "rbac.scope=namespaces"], "needs watchNamespaces"),
        ([f"{CONNECTION}.url=http://p", "watchNamespaces=[kube-system]"], "excluded namespace"),
        ([f"{CONNECTION}.url=http://p", "serviceAccount.create=false"], "serviceAccount.name is required"),
        (
            [f"{CONNECTION}.url=http://p", "metrics.serviceMonitor.enabled=true", "metrics.service.enabled=false"],
            "needs metrics.service.enabled",
        ),
        ([f"{CONNECTION}.url=http://p", "leaderElection.leaseSeconds=120"], "timeoutSeconds must be 270 or more"),
    ],
)  # fmt: skip
def test_contradicting_values_are_refused_with_the_remedy(helm: Helm, sets: list[str], words: str) -> None:
    with pytest.raises(HelmError, match=re.escape(words)):
        helm.render(*sets, url=False)


@pytest.mark.parametrize(
    "typo",
    [
        "dryRun=true", "surge.enabeld=false", "enforcement.enable=false", "watchnamespaces=[ai]",
        "prometheus.url=http://p", "prometheus.connections.default.urll=http://p", "rbac.scope=Cluster",
        "prometheus.connections.default.tls={ca: /x}", "log.level=debug", "crds.keeep=false", "replicaCount=many",
        "watchNamespaces=ai", "prometheus.connections.default.url=prometheus:9090", "image.digest=abc",
        "leaderElection.leaseSeconds=1", "restart.enable=true", "preDeleteHook.timeoutSeconds=5m",
        "maxPoliciesAtOnce=0", "http.port=80", "prometheus.connections.default.method=PUT",
        "rollRateLimit.maxRollsPerHour=many", "rollRateLimit.maxNamespaceShare=0",
        "policyBounds.minInterval=30", "policyBounds.podsPerPolicy=0", "policyBounds.maxPods=1",
        "openshift.adaptSecurityContext=yes", "extraObjects=[{kind: Secret}]", "extraContainers=[{name: a}]",
        "dashboard.enable=true", "metrics.prometheusRule.runbookBaseUrl=a b", "metrics.prometheusRule.disabled=[Down]",
        "rollRateLimit.namespaceQuota=0%", "rollRateLimit.namespaceQuota=0.5",
    ],
)  # fmt: skip
def test_a_misspelled_value_is_refused(helm: Helm, typo: str) -> None:
    with pytest.raises(HelmError, match="meet the specifications of the schema"):
        helm.render(typo)


def test_values_and_schema_have_the_same_names() -> None:
    def names(values: object, schema: dict[str, Any], at: str) -> Iterator[str]:
        properties = schema.get("properties")
        if not isinstance(values, dict) or properties is None:
            return
        yield from (f"{at}{name} has no default" for name in properties.keys() - values.keys() - {"global"})
        yield from (f"{at}{name} is not in the schema" for name in values.keys() - properties.keys())
        for name in values.keys() & properties.keys():
            yield from names(values[name], properties[name], f"{at}{name}.")

    values = yaml.safe_load((CHART / "values.yaml").read_text())
    schema = json.loads((CHART / "values.schema.json").read_text())
    assert list(names(values, schema, "")) == ["resources.claims has no default"]


def test_the_schema_has_all_fields_of_a_connection() -> None:
    def fields(schema: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
        """Nest the names of a schema's properties; an open map is a leaf."""
        options = [schema, *schema.get("anyOf", [])]
        refs = [known[o["$ref"].rpartition("/")[2]] for o in options if "$ref" in o]
        inner = (refs or [schema])[0].get("properties", {})
        return {name: fields(child, known) for name, child in inner.items()}

    model = Connection.model_json_schema(by_alias=True)
    chart = json.loads((CHART / "values.schema.json").read_text())
    ours = chart["properties"]["prometheus"]["properties"]["connections"]["additionalProperties"]
    assert fields(ours, {}) == fields(model, model["$defs"])


def test_the_readme_lists_all_values() -> None:
    def paths(values: dict[str, Any], at: str = "") -> Iterator[str]:
        for name, value in values.items():
            if isinstance(value, dict) and value and at + name not in WHOLE:
                yield from paths(value, f"{at}{name}.")
            else:
                yield at + name

    values = yaml.safe_load((CHART / "values.yaml").read_text())
    table = (CHART / "README.md").read_text().partition("## Values")[2]
    listed = re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)
    assert listed == list(paths(values))
