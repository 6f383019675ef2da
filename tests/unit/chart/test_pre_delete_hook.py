"""The Job that runs before an uninstall."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.unit.chart.rendering import environment, named, of_kind, template

if TYPE_CHECKING:
    from tests.unit.chart.rendering import Helm, Manifest

HELM_TIMEOUT_S = 300
AFFINITY = "affinity={nodeAffinity: {a: b}, podAntiAffinity: {c: d}}"


def job(helm: Helm, *sets: str) -> Manifest:
    return of_kind(helm.render(*sets), "Job")[0]


def test_the_job_runs_the_operator_s_image_with_its_settings_before_anything_is_removed(helm: Helm) -> None:
    sets = (
        "image.tag=dev", "extraEnv=[{name: HTTPS_PROXY, value: 'http://p'}]", "nodeSelector={disk: ssd}",
        "tolerations=[{operator: Exists}]", "priorityClassName=high", "imagePullSecrets=[{name: pull}]",
    )  # fmt: skip
    manifests = helm.render(*sets)
    ours, theirs = template(manifests, "Job")["spec"], template(manifests)["spec"]
    for part in ("serviceAccountName", "securityContext", "nodeSelector", "tolerations", "imagePullSecrets"):
        assert ours[part] == theirs[part], part
    inner, other = ours["containers"][0], theirs["containers"][0]
    assert inner["args"] == ["cleanup", "--timeout=195s"]
    for part in ("image", "imagePullPolicy", "securityContext", "resources"):
        assert inner[part] == other[part], part
    assert environment(manifests, "Job") == environment(manifests)
    hook = job(helm)["metadata"]["annotations"]
    assert hook["helm.sh/hook"] == "pre-delete"


def test_a_failure_ends_the_uninstall_at_once_and_keeps_the_log(helm: Helm) -> None:
    manifest = job(helm)
    hook, spec, pod = manifest["metadata"]["annotations"], manifest["spec"], manifest["spec"]["template"]["spec"]
    assert set(hook["helm.sh/hook-delete-policy"].split(",")) == {"before-hook-creation", "hook-succeeded"}
    assert hook["helm.sh/hook-output-log-policy"] == "hook-failed"
    assert (spec["backoffLimit"], pod["restartPolicy"]) == (0, "Never")
    assert pod["containers"][0]["terminationMessagePolicy"] == "FallbackToLogsOnError"


def test_the_job_ends_before_helm_times_out(helm: Helm) -> None:
    """Its own timeout comes first, then the pod's, which keeps the log, then the Job's, which helm reports."""

    def deadlines(*sets: str) -> tuple[str, int, int]:
        spec = job(helm, *sets)["spec"]
        pod = spec["template"]["spec"]
        return pod["containers"][0]["args"][-1], pod["activeDeadlineSeconds"], spec["activeDeadlineSeconds"]

    assert deadlines() == ("--timeout=195s", 240, 270)
    assert deadlines()[-1] < HELM_TIMEOUT_S
    short = ("preDeleteHook.timeoutSeconds=60", "leaderElection.leaseSeconds=2.6")
    assert deadlines(*short) == ("--timeout=39s", 60, 90), "two leases and 15 s to take over"


def test_no_selector_of_the_operator_matches_the_pod_but_that_of_the_network_policy(helm: Helm) -> None:
    manifests = helm.render(
        "networkPolicy.enabled=true", "replicaCount=2", "podLabels={team: a, app.kubernetes.io/component: operator}"
    )
    labels = template(manifests, "Job")["metadata"]["labels"]
    assert labels["team"] == "a"
    selectors = [
        of_kind(manifests, "Deployment")[0]["spec"]["selector"]["matchLabels"],
        of_kind(manifests, "PodDisruptionBudget")[0]["spec"]["selector"]["matchLabels"],
        of_kind(manifests, "Service")[0]["spec"]["selector"],
    ]
    assert not any(selector.items() <= labels.items() for selector in selectors)
    reached = named(manifests, "NetworkPolicy", "memroll")["spec"]["podSelector"]
    assert reached["matchLabels"].items() <= labels.items()
    (one,) = reached["matchExpressions"]
    assert {labels[one["key"]], template(manifests)["metadata"]["labels"][one["key"]]} == set(one["values"]) - {"test"}


def test_the_job_has_no_pod_anti_affinity(helm: Helm) -> None:
    assert template(helm.render(AFFINITY), "Job")["spec"]["affinity"] == {"nodeAffinity": {"a": "b"}}


def test_the_job_can_be_disabled(helm: Helm) -> None:
    assert not of_kind(helm.render("preDeleteHook.enabled=false"), "Job")
