"""The fence, tried from inside: with the very token of memroll's ServiceAccount, no operator running beside.

What the operator sends goes through, and a step beside it is refused in words that say which.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from memroll_demo.site import ROOT, CommandError, wait_for
from tests.e2e import fencing, objects
from tests.e2e.fencing import (
    DETACHED,
    FROM,
    HASH,
    NOTE_OF_A_TEAM,
    NOW,
    OWNER,
    RESTARTED,
    ROLL,
    TRY,
    Account,
    controller,
    labels,
    made,
    marks,
    merged,
    newest,
    owner,
    pod,
    refusal,
    workload,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from memroll_demo.site import Site
    from tests.e2e.fencing import Json

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

SYSTEM = "memroll-fence"
"""A release, and the namespace of both."""
RESTARTER = "memroll-fence-restart"
"""A second release: it may restart workloads, but not patch pods."""
WATCHED, ELSEWHERE, EXCLUDED = (f"{SYSTEM}-{name}" for name in ("watched", "elsewhere", "excluded"))
CRD = "customresourcedefinition"
DENIED = "denied request: memroll "


@pytest.fixture(scope="module")
def releases(cluster: Site) -> Iterator[None]:
    """Install the chart twice, without a pod of the operator."""
    names = (WATCHED, ELSEWHERE, EXCLUDED)
    cluster.kubectl("delete", "namespace", SYSTEM, *names, "--ignore-not-found")
    bare = ("--set", f"replicaCount=0,crds.install=false,retire.enabled=false,excludedNamespaces={{{EXCLUDED}}}")
    for kind in sorted((ROOT / "deploy/crds").glob("*.yaml")):
        with suppress(CommandError):  # there already
            cluster.kubectl("create", "-f", str(kind))
    try:
        cluster.apply(*(objects.namespace(name) for name in names))
        cluster.install(SYSTEM, SYSTEM, "none:none", [WATCHED], *bare)
        restart = ("--set", "surge.enabled=false,restart.enabled=true")
        cluster.install(RESTARTER, SYSTEM, "none:none", [WATCHED], *bare, *restart)
        yield
    finally:
        cluster.helm("uninstall", RESTARTER, "-n", SYSTEM, "--ignore-not-found")
        cluster.uninstall(SYSTEM, SYSTEM)
        cluster.kubectl("delete", "namespace", *names, "--wait=false", "--ignore-not-found")


@pytest.fixture(scope="module")
def standing(cluster: Site, releases: None) -> Callable[..., Json]:
    """Return a pod with these labels and annotations; those who only try share it."""
    found: dict[str, Json] = {}

    def stand(*changes: Json, where: str = WATCHED) -> Json:
        body = pod(where, *changes)
        key = json.dumps(body)
        found[key] = found.get(key) or made(cluster, body)
        return found[key]

    return stand


@pytest.fixture(scope="module")
def work(cluster: Site, releases: None) -> Json:
    """Return a Deployment that wants no pods, to be tried on."""
    return made(cluster, workload(WATCHED))


@pytest.fixture(scope="module")
def accounts(
    cluster: Site, standing: Callable[..., Json], work: Json, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Account]:
    """Return both ServiceAccounts, once each of their policies is seen to refuse."""
    folder = tmp_path_factory.mktemp("tokens")
    found = {name: fencing.account(cluster, name, SYSTEM, folder / name) for name in (SYSTEM, RESTARTER)}

    def closed() -> bool:
        said = [refusal(found[SYSTEM].patch, standing(), {"metadata": labels(app="other")}, TRY)]
        said += [refusal(found[RESTARTER].patch, work, {"spec": {"paused": True}}, TRY)]
        # Were it not refused, the pod would be gone: a new one for each look.
        said += [refusal(one.evict, made(cluster, pod(EXCLUDED))) for one in found.values()]
        return all(DENIED in words for words in said)

    wait_for("the fence to close", closed)
    return found


@pytest.fixture(scope="module")
def operator(accounts: dict[str, Account]) -> Account:
    return accounts[SYSTEM]


@pytest.fixture(scope="module")
def restarter(accounts: dict[str, Account]) -> Account:
    return accounts[RESTARTER]


RELEASED = {
    "labels": {HASH: "memroll-released"},
    "annotations": {ROLL: "chat-1", FROM: "abc", OWNER: '{"kind":"ReplicaSet","name":"chat-abc"}'},
}
RESTORED = {"labels": {HASH: "abc"}, "annotations": dict.fromkeys((ROLL, FROM, OWNER, DETACHED))}
ONE = merged(labels(app="memroll-detached"), marks(detached='{"app":"chat"}'))
BOTH = merged(ONE, labels(tier="memroll-detached"), marks(detached='{"app":"chat","tier":"web"}'))
LEFT = marks(released_from="old", detached='{"app":"old"}')

ALLOWED = [
    ("release", [], RELEASED),
    ("detach by one label", [RELEASED], ONE),
    ("detach by two labels", [RELEASED], BOTH),
    ("own", [RELEASED], owner()),
    ("restore", [RELEASED], RESTORED),
    ("restore from one label", [RELEASED, ONE], merged(RESTORED, labels(app="chat"))),
    ("restore from two", [RELEASED, BOTH], merged(RESTORED, labels(app="chat", tier="web")) | {"ownerReferences": []}),
    ("attach again", [RELEASED, ONE], merged(labels(app="chat"), marks(detached=None))),
    ("release over what was left", [LEFT], RELEASED),
    ("detach over what was left", [RELEASED, marks(detached="?")], ONE),
    ("clear away what was left", [LEFT], RESTORED),
]


@pytest.mark.parametrize(("state", "change"), [pytest.param(*row, id=name) for name, *row in ALLOWED])
def test_what_a_roll_needs_goes_through(operator, standing, state, change):
    assert refusal(operator.patch, standing(*state), {"metadata": change}, TRY) == ""


SPEC = "memroll changes no pod's spec"
KEYS = "memroll adds no label and removes none"
LABEL = (
    "memroll changes a label only to detach a released pod, noting all that it changes, or to put back what it noted"
)
TEMPLATE_HASH = "memroll changes the template hash only to release a pod, noting the old one, or to put that back"
WHOLE = "memroll puts a pod back with all its labels or not at all"
ALIEN = "memroll changes no annotation but its own"
NOTE = "memroll notes a template hash only when it releases a pod, and forgets it only when it puts that back"
NOTES = "memroll notes labels only when it detaches a pod, and forgets them only when it puts them back"
ALIEN_OWNER = "memroll changes no owner of a pod but the PodRoll"
OWNS = "memroll lets a PodRoll own only a released pod"
FINALIZER = "memroll changes no finalizer"
HASH_DETACHED = {"labels": {HASH: "memroll-detached"}, **marks(detached=f'{{"{HASH}":"memroll-released"}}')}

REFUSED = [
    ("an image", [], {"spec": {"containers": [{"name": "chat", "image": "evil:1"}]}}, SPEC),
    ("a deadline, with a release", [], {"metadata": RELEASED, "spec": {"activeDeadlineSeconds": 60}}, SPEC),
    ("another label", [], labels(app="other"), LABEL),
    ("another label of a released pod", [RELEASED], labels(app="other"), LABEL),
    ("a new label", [], labels(new="x"), KEYS),
    ("a new label, as if detached", [RELEASED], labels(new="memroll-detached") | marks(detached='{"new":""}'), KEYS),
    ("a label away", [], labels(tier=None), KEYS),
    ("the template hash away", [], {"labels": {HASH: None}}, KEYS),
    ("a free template hash", [], {"labels": {HASH: "xyz"}}, TEMPLATE_HASH),
    ("release without a note", [], merged(RELEASED, marks(released_from=None)), TEMPLATE_HASH),
    ("release with a wrong note", [], merged(RELEASED, marks(released_from="xyz")), TEMPLATE_HASH),
    ("release without a roll", [], merged(RELEASED, marks(roll=None)), TEMPLATE_HASH),
    ("restore to another hash", [RELEASED], merged(RESTORED, {"labels": {HASH: "xyz"}}), TEMPLATE_HASH),
    ("restore to a hash that is noted just now", [RELEASED], {"labels": {HASH: "xyz"}, **marks(released_from="xyz")},
     TEMPLATE_HASH),
    ("detach what is not released", [], ONE, LABEL),
    ("detach while releasing", [], merged(RELEASED, ONE), LABEL),
    ("detach while restoring", [RELEASED], merged(ONE, {"labels": {HASH: "abc"}}), LABEL),
    ("detach without a note", [RELEASED], {"labels": ONE["labels"]}, LABEL),
    ("detach with a wrong note", [RELEASED], merged(ONE, marks(detached='{"app":"other"}')), LABEL),
    ("detach with too short a note", [RELEASED], merged(BOTH, marks(detached='{"app":"chat"}')), LABEL),
    ("detach with too long a note", [RELEASED], merged(ONE, marks(detached='{"app":"chat","tier":"web"}')), LABEL),
    ("detach with two values for a label", [RELEASED], merged(ONE, marks(detached='{"app":"chat","app":"x"}')), LABEL),
    ("detach with more around the note", [RELEASED], merged(ONE, marks(detached='{"x":{"app":"chat"}}')), LABEL),
    ("detach by the template hash", [RELEASED], HASH_DETACHED, TEMPLATE_HASH),
    ("detach twice", [RELEASED, ONE], BOTH, LABEL),
    ("restore a label to another value", [RELEASED, ONE], merged(RESTORED, labels(app="other")), LABEL),
    ("restore a label to a value that is noted just now", [RELEASED, ONE],
     labels(app="other") | marks(detached='{"app":"other"}'), LABEL),
    ("restore, but leave it detached", [RELEASED, ONE], RESTORED, WHOLE),
    ("an annotation of someone else", [], {"annotations": {NOTE_OF_A_TEAM: "mine"}}, ALIEN),
    ("an annotation away", [], {"annotations": {NOTE_OF_A_TEAM: None}}, ALIEN),
    ("a new annotation", [], {"annotations": {"new": "x"}}, ALIEN),
    ("an annotation by which it is told", [], marks(protect="true"), ALIEN),
    ("a note of what is not released", [], marks(released_from="abc"), NOTE),
    ("another note", [RELEASED], marks(released_from="xyz"), NOTE),
    ("the note away", [RELEASED], marks(released_from=None), NOTE),
    ("a note of labels without a detach", [RELEASED], marks(detached='{"app":"chat"}'), NOTES),
    ("another note of labels", [RELEASED, ONE], marks(detached='{"app":"other"}'), NOTES),
    ("the note of labels away", [RELEASED, ONE], marks(detached=None), NOTES),
    ("a finalizer", [RELEASED], {"finalizers": ["memroll.dev/wait"]}, FINALIZER),
    ("a controller", [RELEASED], owner(controller=True), ALIEN_OWNER),
    ("an owner that blocks", [RELEASED], owner(blockOwnerDeletion=True), ALIEN_OWNER),
    ("an owner that is no roll", [RELEASED], owner(kind="MemoryPolicy"), ALIEN_OWNER),
    ("a roll of another group", [RELEASED], owner(apiVersion="evil.dev/v1"), ALIEN_OWNER),
    ("own what is not released", [], owner(), OWNS),
]  # fmt: skip


@pytest.mark.parametrize(("state", "change", "words"), [pytest.param(*row, id=name) for name, *row in REFUSED])
def test_a_step_beside_it_is_refused(operator, standing, state, change, words):
    whole = change if "spec" in change else {"metadata": change}
    assert f"denied request: {words}\n" in refusal(operator.patch, standing(*state), whole, TRY)


@pytest.mark.parametrize(
    ("where", "words"),
    [(EXCLUDED, "in an excluded namespace"), (ELSEWHERE, "in a namespace that it does not watch")],
)
def test_other_namespaces_are_left_alone(cluster, operator, restarter, standing, where, words):
    target, there = standing(where=where), made(cluster, workload(where))
    for said in (
        refusal(operator.patch, target, {"metadata": RELEASED}, TRY),
        refusal(operator.evict, target),
        refusal(restarter.evict, target),
        refusal(restarter.patch, there, restart("Deployment"), TRY),
    ):
        assert f"{DENIED}changes nothing {words}" in said


def test_a_pod_with_much_to_compare_stays_within_the_price_of_an_expression(cluster, operator):
    """As many labels as a PodRoll records, among many; annotations near the 256 KiB that the API server takes."""
    many = {f"example.com/{'l' * 50}-{i}": "v" * 63 for i in range(100)}
    notes = {f"example.com/{'a' * 50}-{i}": "n" * 1000 for i in range(200)}
    noted = dict(list(many.items())[:32])
    target = made(cluster, pod(WATCHED, RELEASED, {"labels": many, "annotations": notes}))
    note = json.dumps(noted, sort_keys=True, separators=(",", ":"))
    detach = merged({"labels": dict.fromkeys(noted, "memroll-detached")}, marks(detached=note))
    operator.patch(target, {"metadata": detach})
    operator.patch(newest(cluster, target), {"metadata": merged(RESTORED, {"labels": noted})})
    assert newest(cluster, target)["metadata"]["labels"] == target["metadata"]["labels"] | {HASH: "abc"}


def test_a_whole_roll_there_and_back_and_then_to_its_end(cluster, operator):
    """With a real ReplicaSet: released, owned, detached, put back and adopted; released again and evicted."""
    chat = made(cluster, workload(WATCHED, replicas=1))["metadata"]["name"]

    def owned(beside: str = "") -> Json | None:
        pods = [p for p in cluster.get("pods", WATCHED) if controller(p).startswith(f"{chat}-")]
        alive = (p for p in pods if "deletionTimestamp" not in p["metadata"] and p["metadata"]["uid"] != beside)
        return next(alive, None)

    def let_go() -> bool:
        return not controller(newest(cluster, old))

    first = wait_for("a pod", owned)
    name, hash_ = first["metadata"]["name"], first["metadata"]["labels"][HASH]
    # Of two pods that never ran, the ReplicaSet would keep either.
    cluster.kubectl("annotate", "pod", name, "-n", WATCHED, "controller.kubernetes.io/pod-deletion-cost=1000")
    old = newest(cluster, first)
    release = {"metadata": merged(RELEASED, marks(released_from=hash_))}
    operator.patch(old, release)
    wait_for("the ReplicaSet to let go", let_go)
    wait_for("a replacement", lambda: owned(beside=old["metadata"]["uid"]))
    record = made(operator.site, fencing.roll(WATCHED, name))["metadata"]
    operator.patch(newest(cluster, old), {"metadata": owner(name=record["name"], uid=record["uid"])})
    operator.patch(newest(cluster, old), {"metadata": ONE})
    back = merged(RESTORED, labels(app="chat"), {"labels": {HASH: hash_}})
    operator.patch(newest(cluster, old), {"metadata": {**back, "ownerReferences": []}})
    wait_for("adoption", lambda: controller(newest(cluster, old)))
    now = newest(cluster, old)
    assert [now["metadata"][part] for part in back] == [old["metadata"][part] for part in back]

    operator.patch(now, release)
    wait_for("the ReplicaSet to let go", let_go)
    operator.evict(newest(cluster, old))
    wait_for("the pod's end", lambda: newest(cluster, old) is None)


@pytest.mark.parametrize(
    ("words", "arguments"),
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
def test_no_role_grants_more(operator, standing, work, words, arguments):
    names = {"POD": standing(), "WORK": work}
    for word, thing in names.items():
        arguments = [a.replace(word, thing["metadata"]["name"]) for a in arguments]
    assert f"cannot {words}" in refusal(operator.site.kubectl, *arguments, "-n", WATCHED)


@pytest.mark.parametrize("part", ["status", "resize", "ephemeralcontainers", "binding", "exec"])
def test_no_role_grants_a_part_of_a_pod_but_its_eviction(operator, part):
    for verb in ("create", "update", "patch"):
        asked = ("auth", "can-i", verb, "pods", f"--subresource={part}", "-n", WATCHED)
        assert refusal(operator.site.kubectl, *asked).endswith("no\n")


def test_without_surge_it_evicts_and_patches_no_pod(cluster, restarter):
    target = made(cluster, pod(WATCHED))
    assert 'cannot patch resource "pods"' in refusal(restarter.patch, target, {"metadata": RELEASED})
    restarter.evict(target)
    wait_for("the pod's end", lambda: newest(cluster, target) is None)


def restart(kind: str) -> Json:
    """Return what restarts a workload."""
    if kind == "Rollout":
        return {"spec": {"restartAt": NOW}}
    return {"spec": {"template": {"metadata": {"annotations": {RESTARTED: NOW}}}}}


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet"])
def test_a_workload_is_restarted(cluster, restarter, kind):
    before = made(cluster, workload(WATCHED, kind))
    restarter.patch(before, restart(kind))
    after = newest(cluster, before)["spec"]["template"]["metadata"]["annotations"]
    assert after == {NOTE_OF_A_TEAM: "ours", RESTARTED: NOW}


OUTSIDE = "memroll changes nothing of a workload outside its spec"
SPEC_ONLY = "memroll changes nothing of a workload's spec but the time of its restart"
MARK_ONLY = f"memroll changes nothing of a pod template but the annotation {RESTARTED}"


def template(**part: Any) -> Json:
    return {"spec": {"template": part}}


BESIDE_A_RESTART = [
    ("replicas", {"spec": {"replicas": 1}}, SPEC_ONLY),
    ("a pause", {"spec": {"paused": True}}, SPEC_ONLY),
    ("a strategy", {"spec": {"strategy": {"type": "Recreate", "rollingUpdate": None}}}, SPEC_ONLY),
    ("the time that Argo reads", restart("Deployment") | {"metadata": {"annotations": {"restartAt": NOW}}}, OUTSIDE),
    ("a label", {"metadata": labels(x="y")}, OUTSIDE),
    ("an annotation", {"metadata": {"annotations": {RESTARTED: NOW}}}, OUTSIDE),
    ("an owner", {"metadata": owner()}, OUTSIDE),
    ("a finalizer", {"metadata": {"finalizers": ["memroll.dev/wait"]}}, OUTSIDE),
    ("the image", template(spec={"containers": [{"name": "chat", "image": "evil:1"}]}), MARK_ONLY),
    ("how the pods end", template(spec={"terminationGracePeriodSeconds": 0}), MARK_ONLY),
    ("a label of the pods", template(metadata=labels(x="y")), MARK_ONLY),
    ("an annotation of the pods", template(metadata={"annotations": {"x": "y"}}), MARK_ONLY),
    ("one of them away", template(metadata={"annotations": {NOTE_OF_A_TEAM: None}}), MARK_ONLY),
]


@pytest.mark.parametrize(("change", "words"), [pytest.param(*row, id=name) for name, *row in BESIDE_A_RESTART])
def test_beside_a_restart_everything_is_refused(restarter, work, change, words):
    assert f"denied request: {words}\n" in refusal(restarter.patch, work, change, TRY)


@pytest.fixture
def argo(cluster: Site) -> Iterator[None]:
    """Bring the kind of an Argo Rollout, as far as the fence looks at it, where there is none."""
    name = "rollouts.argoproj.io"
    if cluster.get(CRD, "default", name):
        yield
        return
    whole = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1alpha1", "served": True, "storage": True, "schema": {"openAPIV3Schema": whole}}
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


def test_of_an_argo_rollout_only_the_time_of_its_restart_is_changed(cluster, restarter, argo):
    before = made(cluster, workload(WATCHED, "Rollout"))
    restarter.patch(before, restart("Rollout"))
    assert newest(cluster, before)["spec"] == before["spec"] | {"restartAt": NOW}
    for change, words in [
        ({"spec": {"replicas": 1}}, SPEC_ONLY),
        (restart("Deployment"), SPEC_ONLY),
        ({"metadata": labels(x="y")}, OUTSIDE),
        ({"status": {"phase": "Healthy"}}, OUTSIDE),
    ]:
        assert f"denied request: {words}\n" in refusal(restarter.patch, before, change, TRY)
