"""The admission policy, with the token of memroll's ServiceAccount and without a running operator.

The operator's own requests are admitted; any other change is refused with a message that names the violated rule.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from memroll_demo.cluster import ROOT, CommandError, wait_for
from tests.e2e import admission_requests, objects
from tests.e2e.admission_requests import (
    DELETION_COST,
    DETACHED_ANNOTATION,
    DRY_RUN,
    HASH_LABEL,
    MIN_COST,
    NOW,
    OWNER_ANNOTATION,
    RELEASED_FROM,
    RESTARTED_AT,
    ROLL_ANNOTATION,
    TEAM_ANNOTATION,
    Account,
    controller_name,
    create,
    deletion_cost,
    labels,
    merge,
    own_annotations,
    pod,
    read_again,
    refusal,
    roll_owner,
    workload,
    workload_owner,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from memroll_demo.cluster import DemoCluster
    from tests.e2e.admission_requests import Json

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

RELEASE = "memroll-fence"
"""First release, and the namespace of both."""
RESTART_RELEASE = "memroll-fence-restart"
"""Second release: it has the permission to restart workloads, but none to patch pods."""
WATCHED, ELSEWHERE, EXCLUDED = (f"{RELEASE}-{name}" for name in ("watched", "elsewhere", "excluded"))
CRD = "customresourcedefinition"
DENIED = "denied request: memroll "


@pytest.fixture(scope="module")
def releases(cluster: DemoCluster) -> Iterator[None]:
    """Install the chart twice, without pods of the operator."""
    names = (WATCHED, ELSEWHERE, EXCLUDED)
    cluster.kubectl("delete", "namespace", RELEASE, *names, "--ignore-not-found")
    bare = ("--set", f"replicaCount=0,crds.install=false,preDeleteHook.enabled=false,excludedNamespaces={{{EXCLUDED}}}")
    for kind in sorted((ROOT / "deploy/crds").glob("*.yaml")):
        with suppress(CommandError):  # it exists already
            cluster.kubectl("create", "-f", str(kind))
    try:
        cluster.apply(*(objects.namespace(name) for name in names))
        cluster.install(RELEASE, RELEASE, "none:none", [WATCHED], *bare)
        restart = ("--set", "surge.enabled=false,restart.enabled=true")
        cluster.install(RESTART_RELEASE, RELEASE, "none:none", [WATCHED], *bare, *restart)
        yield
    finally:
        cluster.helm("uninstall", RESTART_RELEASE, "-n", RELEASE, "--ignore-not-found")
        cluster.uninstall(RELEASE, RELEASE)
        cluster.kubectl("delete", "namespace", *names, "--wait=false", "--ignore-not-found")


@pytest.fixture(scope="module")
def existing_pod(cluster: DemoCluster, releases: None) -> Callable[..., Json]:
    """Return a function that creates a pod with changes of its metadata, once for all tests that do not modify it."""
    found: dict[str, Json] = {}

    def get_or_create(*changes: Json, namespace: str = WATCHED) -> Json:
        body = pod(namespace, *changes)
        key = json.dumps(body)
        found[key] = found.get(key) or create(cluster, body)
        return found[key]

    return get_or_create


@pytest.fixture(scope="module")
def idle_workload(cluster: DemoCluster, releases: None) -> Json:
    """Return a Deployment without pods, for requests that are refused."""
    return create(cluster, workload(WATCHED))


@pytest.fixture(scope="module")
def accounts(
    cluster: DemoCluster,
    existing_pod: Callable[..., Json],
    idle_workload: Json,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Account]:
    """Return both ServiceAccounts, after each of their admission policies has refused a request."""
    folder = tmp_path_factory.mktemp("tokens")
    names = (RELEASE, RESTART_RELEASE)
    found = {name: admission_requests.account(cluster, name, RELEASE, folder / name) for name in names}

    def is_enforced() -> bool:
        refusals = [refusal(found[RELEASE].patch, existing_pod(), {"metadata": labels(app="other")}, DRY_RUN)]
        refusals += [refusal(found[RESTART_RELEASE].patch, idle_workload, {"spec": {"paused": True}}, DRY_RUN)]
        # An eviction that is not refused deletes the pod: a new one for each attempt.
        refusals += [refusal(account.evict, create(cluster, pod(EXCLUDED))) for account in found.values()]
        return all(DENIED in message for message in refusals)

    wait_for("the admission policies to be enforced", is_enforced)
    return found


@pytest.fixture(scope="module")
def operator(accounts: dict[str, Account]) -> Account:
    return accounts[RELEASE]


@pytest.fixture(scope="module")
def restarter(accounts: dict[str, Account]) -> Account:
    return accounts[RESTART_RELEASE]


RELEASED = {
    "labels": {HASH_LABEL: "memroll-released"},
    "annotations": {
        ROLL_ANNOTATION: "chat-1",
        RELEASED_FROM: "abc",
        OWNER_ANNOTATION: '{"kind":"ReplicaSet","name":"chat-abc"}',
    },
}
RECORDED_ANNOTATIONS = (ROLL_ANNOTATION, RELEASED_FROM, OWNER_ANNOTATION, DETACHED_ANNOTATION)
RESTORED = {"labels": {HASH_LABEL: "abc"}, "annotations": dict.fromkeys(RECORDED_ANNOTATIONS)}
DETACHED = merge(labels(app="memroll-detached"), own_annotations(detached='{"app":"chat"}'))
BOTH_DETACHED = merge(
    DETACHED, labels(tier="memroll-detached"), own_annotations(detached='{"app":"chat","tier":"web"}')
)
RECORDED_OWNER = merge(
    RELEASED,
    own_annotations(released_owner='{"owner":{"api_version":"apps/v1","kind":"Deployment","name":"chat","uid":"d-1"}}'),
)
DELETED_WORKLOAD, OTHER_WORKLOAD = (
    {"ownerReferences": [admission_requests.workload_owner("chat", uid)]} for uid in ("d-1", "d-2")
)
OLD_ANNOTATIONS = own_annotations(released_from="old", detached='{"app":"old"}')

ADMITTED = [
    ("release", [], RELEASED),
    ("detach by one label", [RELEASED], DETACHED),
    ("detach by two labels", [RELEASED], BOTH_DETACHED),
    ("add an owner", [RELEASED], roll_owner()),
    ("leave to the deleted workload", [RECORDED_OWNER], DELETED_WORKLOAD),
    ("restore", [RELEASED], RESTORED),
    ("restore from one label", [RELEASED, DETACHED], merge(RESTORED, labels(app="chat"))),
    (
        "restore from two labels",
        [RELEASED, BOTH_DETACHED],
        merge(RESTORED, labels(app="chat", tier="web")) | {"ownerReferences": []},
    ),
    ("attach again", [RELEASED, DETACHED], merge(labels(app="chat"), own_annotations(detached=None))),
    ("release over old annotations", [OLD_ANNOTATIONS], RELEASED),
    ("detach over an old annotation", [RELEASED, own_annotations(detached="?")], DETACHED),
    ("remove old annotations", [OLD_ANNOTATIONS], RESTORED),
    ("the lowest deletion cost", [], deletion_cost(MIN_COST)),
]


@pytest.mark.parametrize(("state", "change"), [pytest.param(*row, id=name) for name, *row in ADMITTED])
def test_the_changes_of_a_roll_are_admitted(operator, existing_pod, state, change):
    assert refusal(operator.patch, existing_pod(*state), {"metadata": change}, DRY_RUN) == ""


SPEC = "memroll changes no pod's spec"
LABEL_KEYS = "memroll adds no label and removes none"
LABEL = (
    "memroll changes a label only to detach a released pod, recording all changed labels,"
    " or to restore a recorded value"
)
TEMPLATE_HASH = "memroll changes the template hash only to release a pod, recording the old one, or to restore it"
ALL_LABELS = "memroll restores a pod with all its labels or not at all"
ANNOTATION = "memroll changes no annotation but its own"
HASH_RECORD = (
    "memroll records a template hash only when it releases a pod, and removes the record only when it restores it"
)
LABEL_RECORD = "memroll records labels only when it detaches a pod, and removes the record only when it restores them"
OWNER = "memroll changes no owner of a pod but the PodRoll"
WORKLOAD_OWNER = "memroll makes only the workload of a pod that it releases an owner"
OWNS_RELEASED = "memroll lets a PodRoll own only a released pod"
FINALIZER = "memroll changes no finalizer"
HASH_DETACHED = merge(
    {"labels": {HASH_LABEL: "memroll-detached"}}, own_annotations(detached=f'{{"{HASH_LABEL}":"memroll-released"}}')
)

REFUSED = [
    ("an image", [], {"spec": {"containers": [{"name": "chat", "image": "evil:1"}]}}, SPEC),
    ("a deadline, with a release", [], {"metadata": RELEASED, "spec": {"activeDeadlineSeconds": 60}}, SPEC),
    ("another label", [], labels(app="other"), LABEL),
    ("another label of a released pod", [RELEASED], labels(app="other"), LABEL),
    ("a new label", [], labels(new="x"), LABEL_KEYS),
    ("a new label, as if detached", [RELEASED], labels(new="memroll-detached") | own_annotations(detached='{"new":""}'),
     LABEL_KEYS),
    ("a label removed", [], labels(tier=None), LABEL_KEYS),
    ("the template hash removed", [], {"labels": {HASH_LABEL: None}}, LABEL_KEYS),
    ("another template hash", [], {"labels": {HASH_LABEL: "xyz"}}, TEMPLATE_HASH),
    ("release without a record of the hash", [], merge(RELEASED, own_annotations(released_from=None)), TEMPLATE_HASH),
    ("release with a wrong record", [], merge(RELEASED, own_annotations(released_from="xyz")), TEMPLATE_HASH),
    ("release without a roll", [], merge(RELEASED, own_annotations(roll=None)), TEMPLATE_HASH),
    ("restore to another hash", [RELEASED], merge(RESTORED, {"labels": {HASH_LABEL: "xyz"}}), TEMPLATE_HASH),
    ("restore to a hash that is recorded now", [RELEASED],
     {"labels": {HASH_LABEL: "xyz"}, **own_annotations(released_from="xyz")}, TEMPLATE_HASH),
    ("detach a pod that is not released", [], DETACHED, LABEL),
    ("detach while releasing", [], merge(RELEASED, DETACHED), LABEL),
    ("detach while restoring", [RELEASED], merge(DETACHED, {"labels": {HASH_LABEL: "abc"}}), LABEL),
    ("detach without a record", [RELEASED], {"labels": DETACHED["labels"]}, LABEL),
    ("detach with a wrong record", [RELEASED], merge(DETACHED, own_annotations(detached='{"app":"other"}')), LABEL),
    ("detach with too short a record", [RELEASED],
     merge(BOTH_DETACHED, own_annotations(detached='{"app":"chat"}')), LABEL),
    ("detach with too long a record", [RELEASED],
     merge(DETACHED, own_annotations(detached='{"app":"chat","tier":"web"}')), LABEL),
    ("detach with two values for a label", [RELEASED],
     merge(DETACHED, own_annotations(detached='{"app":"chat","app":"x"}')), LABEL),
    ("detach with a nested record", [RELEASED],
     merge(DETACHED, own_annotations(detached='{"x":{"app":"chat"}}')), LABEL),
    ("detach by the template hash", [RELEASED], HASH_DETACHED, TEMPLATE_HASH),
    ("detach twice", [RELEASED, DETACHED], BOTH_DETACHED, LABEL),
    ("restore a label to another value", [RELEASED, DETACHED], merge(RESTORED, labels(app="other")), LABEL),
    ("restore a label to a value that is recorded now", [RELEASED, DETACHED],
     labels(app="other") | own_annotations(detached='{"app":"other"}'), LABEL),
    ("restore, but still detached", [RELEASED, DETACHED], RESTORED, ALL_LABELS),
    ("an annotation of a team", [], {"annotations": {TEAM_ANNOTATION: "mine"}}, ANNOTATION),
    ("an annotation removed", [], {"annotations": {TEAM_ANNOTATION: None}}, ANNOTATION),
    ("a new annotation", [], {"annotations": {"new": "x"}}, ANNOTATION),
    ("another deletion cost", [], deletion_cost("-2147483647"), ANNOTATION),
    ("the highest deletion cost", [], deletion_cost("2147483647"), ANNOTATION),
    ("a changed deletion cost", [deletion_cost("5")], deletion_cost(MIN_COST), ANNOTATION),
    ("a deletion cost removed", [deletion_cost(MIN_COST)], deletion_cost(None), ANNOTATION),
    ("a deletion cost with a new annotation", [], merge(deletion_cost(MIN_COST), {"annotations": {"new": "x"}}),
     ANNOTATION),
    ("the do-not-disrupt annotation", [], own_annotations(do_not_disrupt="true"), ANNOTATION),
    ("a record on a pod that is not released", [], own_annotations(released_from="abc"), HASH_RECORD),
    ("another record", [RELEASED], own_annotations(released_from="xyz"), HASH_RECORD),
    ("the record removed", [RELEASED], own_annotations(released_from=None), HASH_RECORD),
    ("a record of labels without a detach", [RELEASED], own_annotations(detached='{"app":"chat"}'), LABEL_RECORD),
    ("another record of labels", [RELEASED, DETACHED], own_annotations(detached='{"app":"other"}'), LABEL_RECORD),
    ("the record of labels removed", [RELEASED, DETACHED], own_annotations(detached=None), LABEL_RECORD),
    ("a finalizer", [RELEASED], {"finalizers": ["memroll.dev/wait"]}, FINALIZER),
    ("a controller", [RELEASED], roll_owner(controller=True), OWNER),
    ("an owner that blocks", [RELEASED], roll_owner(blockOwnerDeletion=True), OWNER),
    ("an owner that is no PodRoll", [RELEASED], roll_owner(kind="MemoryPolicy"), OWNER),
    ("a PodRoll of another group", [RELEASED], roll_owner(apiVersion="evil.dev/v1"), OWNER),
    ("an owner of a pod that is not released", [], roll_owner(), OWNS_RELEASED),
    ("another workload", [RECORDED_OWNER], OTHER_WORKLOAD, WORKLOAD_OWNER),
    ("a workload that is recorded now", [RELEASED],
     DELETED_WORKLOAD | {"annotations": RECORDED_OWNER["annotations"]}, WORKLOAD_OWNER),
    ("the workload of a pod that is restored", [RECORDED_OWNER], RESTORED | DELETED_WORKLOAD, WORKLOAD_OWNER),
]  # fmt: skip


@pytest.mark.parametrize(("state", "change", "message"), [pytest.param(*row, id=name) for name, *row in REFUSED])
def test_any_other_change_of_a_pod_is_refused(operator, existing_pod, state, change, message):
    body = change if "spec" in change else {"metadata": change}
    assert f"denied request: {message}\n" in refusal(operator.patch, existing_pod(*state), body, DRY_RUN)


@pytest.mark.parametrize(
    ("namespace", "message"),
    [(EXCLUDED, "in an excluded namespace"), (ELSEWHERE, "in a namespace that it does not watch")],
)
def test_nothing_is_changed_in_other_namespaces(cluster, operator, restarter, existing_pod, namespace, message):
    target, deployment = existing_pod(namespace=namespace), create(cluster, workload(namespace))
    for text in (
        refusal(operator.patch, target, {"metadata": RELEASED}, DRY_RUN),
        refusal(operator.evict, target),
        refusal(restarter.evict, target),
        refusal(restarter.patch, deployment, restart_patch("Deployment"), DRY_RUN),
    ):
        assert f"{DENIED}changes nothing {message}" in text


def test_a_pod_with_many_labels_and_annotations_stays_within_the_cel_cost_limit(cluster, operator):
    """The maximum of labels that a PodRoll records, and annotations near the API server's limit of 256 KiB."""
    many = {f"example.com/{'l' * 50}-{i}": "v" * 63 for i in range(100)}
    other_annotations = {f"example.com/{'a' * 50}-{i}": "n" * 1000 for i in range(200)}
    recorded = dict(list(many.items())[:32])
    target = create(cluster, pod(WATCHED, RELEASED, {"labels": many, "annotations": other_annotations}))
    record = json.dumps(recorded, sort_keys=True, separators=(",", ":"))
    detach = merge({"labels": dict.fromkeys(recorded, "memroll-detached")}, own_annotations(detached=record))
    operator.patch(target, {"metadata": detach})
    operator.patch(read_again(cluster, target), {"metadata": merge(RESTORED, {"labels": recorded})})
    assert read_again(cluster, target)["metadata"]["labels"] == target["metadata"]["labels"] | {HASH_LABEL: "abc"}


def test_a_whole_roll_is_admitted_rolled_back_and_repeated(cluster, operator):
    """With a real ReplicaSet: released, owned, detached, restored and adopted; released again and evicted."""
    chat = create(cluster, workload(WATCHED, replicas=1))["metadata"]["name"]

    def find_owned_pod(except_uid: str = "") -> Json | None:
        pods = [p for p in cluster.get("pods", WATCHED) if controller_name(p).startswith(f"{chat}-")]
        alive = (p for p in pods if "deletionTimestamp" not in p["metadata"] and p["metadata"]["uid"] != except_uid)
        return next(alive, None)

    def is_released() -> bool:
        return not controller_name(read_again(cluster, old))

    first = wait_for("a pod", find_owned_pod)
    name, hash_ = first["metadata"]["name"], first["metadata"]["labels"][HASH_LABEL]
    # Of two pods that never ran, the ReplicaSet could delete either.
    cluster.kubectl("annotate", "pod", name, "-n", WATCHED, f"{DELETION_COST}=1000")
    old = read_again(cluster, first)
    changes, controller = merge(RELEASED, own_annotations(released_from=hash_)), old["metadata"]["ownerReferences"][0]
    uid = cluster.get("deployment", WATCHED, chat)["metadata"]["uid"]
    release = {"metadata": changes | {"ownerReferences": [controller, workload_owner(chat, uid)]}}
    for other in (workload_owner("other", uid), workload_owner(chat[:-1], uid)):
        stolen = {"metadata": changes | {"ownerReferences": [controller, other]}}
        assert DENIED in refusal(operator.patch, old, stolen, DRY_RUN)
    unreleased = {"metadata": {"ownerReferences": [controller, workload_owner(chat, uid)]}}
    assert WORKLOAD_OWNER in refusal(operator.patch, old, unreleased, DRY_RUN)
    operator.patch(old, release)
    wait_for("the ReplicaSet to release the pod", is_released)
    wait_for("a replacement", lambda: find_owned_pod(except_uid=old["metadata"]["uid"]))
    (owner,) = read_again(cluster, old)["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"]) == ("Deployment", chat), "the pod never stands without an owner"
    record = create(operator.cluster, admission_requests.pod_roll(WATCHED, name))["metadata"]
    operator.patch(read_again(cluster, old), {"metadata": roll_owner(name=record["name"], uid=record["uid"])})
    operator.patch(read_again(cluster, old), {"metadata": DETACHED})
    restore = merge(RESTORED, labels(app="chat"), {"labels": {HASH_LABEL: hash_}})
    operator.patch(read_again(cluster, old), {"metadata": {**restore, "ownerReferences": []}})
    wait_for("adoption", lambda: controller_name(read_again(cluster, old)))
    now = read_again(cluster, old)
    assert [now["metadata"][key] for key in restore] == [old["metadata"][key] for key in restore]

    operator.patch(now, release)
    wait_for("the ReplicaSet to release the pod", is_released)
    operator.evict(read_again(cluster, old))
    wait_for("the deletion of the pod", lambda: read_again(cluster, old) is None)


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        ('delete resource "pods"', ["delete", "pod", "POD"]),
        ('create resource "pods"', ["run", "x", "--image=x"]),
        ('patch resource "deployments"', ["patch", "deployment", "WORK", "-p", '{"spec":{"paused":true}}']),
        ('patch resource "deployments"', ["rollout", "restart", "deployment/WORK"]),
        ('patch resource "deployments/scale"', ["scale", "deployment/WORK", "--replicas=3"]),
        ('delete resource "deployments"', ["delete", "deployment", "WORK"]),
        ('get resource "secrets"', ["get", "secret", "x"]),
        ('create resource "serviceaccounts/token"', ["create", "token", "default"]),
    ],
)
def test_the_roles_grant_nothing_else(operator, existing_pod, idle_workload, message, arguments):
    names = {"POD": existing_pod(), "WORK": idle_workload}
    for word, thing in names.items():
        arguments = [a.replace(word, thing["metadata"]["name"]) for a in arguments]
    assert f"cannot {message}" in refusal(operator.cluster.kubectl, *arguments, "-n", WATCHED)


@pytest.mark.parametrize("subresource", ["status", "resize", "ephemeralcontainers", "binding", "exec"])
def test_the_roles_grant_no_subresource_of_a_pod_but_its_eviction(operator, subresource):
    for verb in ("create", "update", "patch"):
        arguments = ("auth", "can-i", verb, "pods", f"--subresource={subresource}", "-n", WATCHED)
        assert refusal(operator.cluster.kubectl, *arguments).endswith("no\n")


def test_without_surge_memroll_can_evict_a_pod_but_not_patch_it(cluster, restarter):
    target = create(cluster, pod(WATCHED))
    assert 'cannot patch resource "pods"' in refusal(restarter.patch, target, {"metadata": RELEASED})
    restarter.evict(target)
    wait_for("the deletion of the pod", lambda: read_again(cluster, target) is None)


def restart_patch(kind: str) -> Json:
    """Return the patch that restarts a workload."""
    if kind == "Rollout":
        return {"spec": {"restartAt": NOW}}
    return {"spec": {"template": {"metadata": {"annotations": {RESTARTED_AT: NOW}}}}}


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet"])
def test_a_workload_is_restarted(cluster, restarter, kind):
    before = create(cluster, workload(WATCHED, kind))
    restarter.patch(before, restart_patch(kind))
    after = read_again(cluster, before)["spec"]["template"]["metadata"]["annotations"]
    assert after == {TEAM_ANNOTATION: "ours", RESTARTED_AT: NOW}


OUTSIDE_SPEC = "memroll changes nothing of a workload outside its spec"
RESTART_TIME_ONLY = "memroll changes nothing of a workload's spec but the time of its restart"
TEMPLATE_ONLY = f"memroll changes nothing of a pod template but the annotation {RESTARTED_AT}"


def template(**change: Any) -> Json:
    return {"spec": {"template": change}}


REFUSED_FOR_WORKLOADS = [
    ("replicas", {"spec": {"replicas": 1}}, RESTART_TIME_ONLY),
    ("a pause", {"spec": {"paused": True}}, RESTART_TIME_ONLY),
    ("a strategy", {"spec": {"strategy": {"type": "Recreate", "rollingUpdate": None}}}, RESTART_TIME_ONLY),
    (
        "an annotation in addition to a restart",
        restart_patch("Deployment") | {"metadata": {"annotations": {"restartAt": NOW}}},
        OUTSIDE_SPEC,
    ),
    ("a label", {"metadata": labels(x="y")}, OUTSIDE_SPEC),
    ("an annotation", {"metadata": {"annotations": {RESTARTED_AT: NOW}}}, OUTSIDE_SPEC),
    ("an owner", {"metadata": roll_owner()}, OUTSIDE_SPEC),
    ("a finalizer", {"metadata": {"finalizers": ["memroll.dev/wait"]}}, OUTSIDE_SPEC),
    ("the image", template(spec={"containers": [{"name": "chat", "image": "evil:1"}]}), TEMPLATE_ONLY),
    ("the grace period of the pods", template(spec={"terminationGracePeriodSeconds": 0}), TEMPLATE_ONLY),
    ("a label of the pods", template(metadata=labels(x="y")), TEMPLATE_ONLY),
    ("an annotation of the pods", template(metadata={"annotations": {"x": "y"}}), TEMPLATE_ONLY),
    ("an annotation of the pods removed", template(metadata={"annotations": {TEAM_ANNOTATION: None}}), TEMPLATE_ONLY),
]


@pytest.mark.parametrize(("change", "message"), [pytest.param(*row, id=name) for name, *row in REFUSED_FOR_WORKLOADS])
def test_any_other_change_of_a_workload_is_refused(restarter, idle_workload, change, message):
    assert f"denied request: {message}\n" in refusal(restarter.patch, idle_workload, change, DRY_RUN)


@pytest.fixture
def argo(cluster: DemoCluster) -> Iterator[None]:
    """Create the CRD of Argo Rollouts, with the fields that the admission policy reads, unless it exists."""
    name = "rollouts.argoproj.io"
    if cluster.get(CRD, "default", name):
        yield
        return
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1alpha1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"kind": "Rollout", "plural": "rollouts", "singular": "rollout"}
    spec = {"group": "argoproj.io", "scope": "Namespaced", "names": names, "versions": [version]}
    cluster.apply(
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": name},
            "spec": spec,
        }
    )
    try:
        cluster.kubectl("wait", "--for=condition=Established", f"{CRD}/{name}", "--timeout=60s")
        wait_for("the kind", lambda: name in cluster.kubectl("api-resources", "--api-group=argoproj.io", "-o", "name"))
        yield
    finally:
        cluster.kubectl("delete", CRD, name)


def test_of_an_argo_rollout_only_the_restart_time_may_change(cluster, restarter, argo):
    before = create(cluster, workload(WATCHED, "Rollout"))
    restarter.patch(before, restart_patch("Rollout"))
    assert read_again(cluster, before)["spec"] == before["spec"] | {"restartAt": NOW}
    for change, message in [
        ({"spec": {"replicas": 1}}, RESTART_TIME_ONLY),
        (restart_patch("Deployment"), RESTART_TIME_ONLY),
        ({"metadata": labels(x="y")}, OUTSIDE_SPEC),
        ({"status": {"phase": "Healthy"}}, OUTSIDE_SPEC),
    ]:
        assert f"denied request: {message}\n" in refusal(restarter.patch, before, change, DRY_RUN)


@pytest.mark.parametrize(
    ("namespace", "warning"),
    [
        pytest.param(EXCLUDED, f"namespace {EXCLUDED} is excluded from memroll (release {RELEASE} in {RELEASE})"),
        pytest.param(ELSEWHERE, f"(release {RELEASE} in {RELEASE}) does not watch namespace {ELSEWHERE}"),
        pytest.param(WATCHED, "", id="watched"),
    ],
)
def test_a_policy_without_effect_in_its_namespace_is_accepted_with_a_warning(cluster, accounts, namespace, warning):
    body = json.dumps(objects.policy(namespace, "chat"))

    def has_warned() -> bool:
        """Other releases of this cluster warn as well: they watch none of these namespaces."""
        try:
            cluster.kubectl("apply", "--dry-run=server", "--warnings-as-errors", "-f", "-", stdin=body)
        except CommandError as error:
            return warning in str(error) if warning else f"(release {RELEASE} in {RELEASE})" not in str(error)
        return not warning

    wait_for(f"the warning {warning!r}", has_warned, timeout_s=60)
    accepted = cluster.kubectl("apply", "--dry-run=server", "-f", "-", stdin=body)
    assert "created (server dry run)" in accepted
