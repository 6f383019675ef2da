"""What happens before an uninstall."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.unit.chart.rendering import environment, named, of_kind, template

if TYPE_CHECKING:
    from tests.unit.chart.rendering import Helm, Manifest

HELM_WAITS_S = 300
AFFINITY = "affinity={nodeAffinity: {a: b}, podAntiAffinity: {c: d}}"


def job(helm: Helm, *sets: str) -> Manifest:
    return of_kind(helm.render(*sets), "Job")[0]


def test_it_runs_the_operator_s_own_image_as_the_operator_before_anything_is_removed(helm: Helm) -> None:
    sets = (
        "image.tag=dev", "extraEnv=[{name: HTTPS_PROXY, value: 'http://p'}]", "nodeSelector={disk: ssd}",
        "tolerations=[{operator: Exists}]", "priorityClassName=high", "imagePullSecrets=[{name: pull}]",
    )  # fmt: skip
    manifests = helm.render(*sets)
    ours, theirs = template(manifests, "Job")["spec"], template(manifests)["spec"]
    for part in ("serviceAccountName", "securityContext", "nodeSelector", "tolerations", "imagePullSecrets"):
        assert ours[part] == theirs[part], part
    inner, other = ours["containers"][0], theirs["containers"][0]
    assert inner["args"] == ["retire", "--timeout=195s"]
    for part in ("image", "imagePullPolicy", "securityContext", "resources"):
        assert inner[part] == other[part], part
    assert environment(manifests, "Job") == environment(manifests)
    hook = job(helm)["metadata"]["annotations"]
    assert hook["helm.sh/hook"] == "pre-delete"


def test_a_failure_ends_the_uninstall_at_once_and_leaves_its_words(helm: Helm) -> None:
    manifest = job(helm)
    hook, spec, pod = manifest["metadata"]["annotations"], manifest["spec"], manifest["spec"]["template"]["spec"]
    assert set(hook["helm.sh/hook-delete-policy"].split(",")) == {"before-hook-creation", "hook-succeeded"}
    assert hook["helm.sh/hook-output-log-policy"] == "hook-failed"
    assert (spec["backoffLimit"], pod["restartPolicy"]) == (0, "Never")
    assert pod["containers"][0]["terminationMessagePolicy"] == "FallbackToLogsOnError"


def test_it_has_its_time_and_ends_before_helm_gives_up(helm: Helm) -> None:
    """It says itself what is left; else its pod's end leaves a log; else at least helm tells."""

    def deadlines(*sets: str) -> tuple[str, int, int]:
        spec = job(helm, *sets)["spec"]
        pod = spec["template"]["spec"]
        return pod["containers"][0]["args"][-1], pod["activeDeadlineSeconds"], spec["activeDeadlineSeconds"]

    assert deadlines() == ("--timeout=195s", 240, 270)
    assert deadlines()[-1] < HELM_WAITS_S
    short = ("retire.timeoutSeconds=60", "leaderElection.leaseSeconds=2.6")
    assert deadlines(*short) == ("--timeout=39s", 60, 90), "two leases and 15 s to take over"


def test_its_pod_is_none_of_the_operator_s_but_may_reach_what_the_operator_may(helm: Helm) -> None:
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
    assert {labels[one["key"]], template(manifests)["metadata"]["labels"][one["key"]]} == set(one["values"])


def test_it_is_not_kept_apart_from_the_operator(helm: Helm) -> None:
    assert template(helm.render(AFFINITY), "Job")["spec"]["affinity"] == {"nodeAffinity": {"a": "b"}}


def test_it_can_be_left_out(helm: Helm) -> None:
    assert not of_kind(helm.render("retire.enabled=false"), "Job")
