"""Commands that write: each changes exactly one object, and nothing if there is nothing to do."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from memroll.api.pod_roll import PodRoll
from tests.builders import policy_json, roll_json
from tests.contract.cluster.commands import execute
from tests.contract.cluster.fake_api import Fault
from tests.scenario.simulation import FAST

if TYPE_CHECKING:
    from tests.contract.cluster.commands import Ended
    from tests.contract.cluster.fake_api import FakeApi

PODS = "/api/v1/namespaces/ai/pods"
POLICIES = "/apis/memroll.dev/v1alpha1/namespaces/ai/memorypolicies"
ROLLS = "/apis/memroll.dev/v1alpha1/namespaces/ai/podrolls"
OWNER = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "chat-5d", "uid": "rs", "controller": True}


def pod(name: str, **metadata: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "uid": f"uid-{name}", "ownerReferences": [OWNER]} | metadata,
        "spec": {"containers": [{"name": "app"}]},
        "status": {"phase": "Running"},
    }


def roll(name: str, phase: str | None, pod_name: str, **spec: Any) -> dict[str, Any]:
    raw = roll_json(phase, spec={"podName": pod_name} | spec)
    return raw | {"metadata": {"name": name}}


@pytest.fixture
def cluster(server: FakeApi, monkeypatch: pytest.MonkeyPatch) -> FakeApi:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    server.add(PODS, pod("chat-1"))
    server.add(PODS, pod("chat-2"))
    server.add(PODS, pod("alone", ownerReferences=[]))
    for name, suspended in (("chat", False), ("web", True)):
        server.add(POLICIES, policy_json(FAST | {"suspend": suspended}, name=name))
    server.add(ROLLS, roll("chat-2-x", "Replacing", "chat-2"))
    server.add(ROLLS, roll("chat-2-old", "Succeeded", "chat-2"))
    server.add(ROLLS, roll("chat-1-old", "Failed", "chat-1"))
    return server


@pytest.fixture
def run(cluster: FakeApi, kubeconfig: str, capsys: pytest.CaptureFixture[str]) -> Any:
    async def run(*arguments: str) -> Ended:
        cluster.requests.clear()
        return await execute(capsys, *arguments, "-n", "ai", "--kubeconfig", kubeconfig)

    return run


def writes(cluster: FakeApi) -> list[tuple[str, str, Any]]:
    return [(method, path.partition("?")[0], body) for method, path, body in cluster.requests if method != "GET"]


async def test_a_roll_by_hand_is_one_new_pod_roll(cluster: FakeApi, run: Any) -> None:
    ended = await run("roll", "chat-1", "--reason", "incident 42")
    assert (ended.code, ended.err) == (0, "")
    ((method, path, body),) = writes(cluster)
    assert (method, path) == ("POST", ROLLS)
    name = body["metadata"]["name"]
    assert ended.out == f"podroll.memroll.dev/{name} created\n"
    assert name.startswith("chat-1-")
    assert body["spec"] == {"podName": "chat-1", "podUID": "uid-chat-1", "reason": "incident 42"}
    assert PodRoll.read(cluster.get(f"{ROLLS}/{name}")).spec.policy == "", "it counts as one by hand"


async def test_a_dry_run_prints_what_kubectl_could_apply_and_writes_nothing(cluster: FakeApi, run: Any) -> None:
    ended = await run("roll", "chat-1", "--dry-run", "--strategy", "Evict")
    manifest = yaml.safe_load(ended.out)
    assert (manifest["kind"], manifest["metadata"]["namespace"]) == ("PodRoll", "ai")
    assert manifest["spec"]["strategy"] == "Evict"
    assert writes(cluster) == []


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("chat-3", 1, "there is no pod chat-3 in namespace ai. Did you mean chat-2, chat-1?"),
        ("chat-2", 1, "PodRoll chat-2-x of this pod is in progress (Replacing): 'memroll cancel chat-2-x' ends it"),
        ("alone", 2, "pod alone has no controller: nothing would replace it"),
        ("ended", 2, "pod ended has ended, or is being deleted"),
    ],
)
async def test_a_pod_that_can_t_be_rolled_is_refused(
    name: str, code: int, words: str, cluster: FakeApi, run: Any
) -> None:
    cluster.add(PODS, pod("ended") | {"status": {"phase": "Succeeded"}})
    ended = await run("roll", name)
    assert (ended.code, ended.out, writes(cluster)) == (code, "", [])
    assert words in ended.err


@pytest.mark.parametrize(("phase", "code"), [("Succeeded", 0), ("Failed", 1), ("Aborted", 1)])
async def test_wait_shows_the_phases_and_returns_the_result(phase: str, code: int, cluster: FakeApi, run: Any) -> None:
    command = asyncio.create_task(run("roll", "chat-1", "--wait"))
    while not (created := [b["metadata"]["name"] for m, _, b in writes(cluster) if m == "POST"]):  # noqa: ASYNC110 - a server has no event
        await asyncio.sleep(0.01)
    path = f"{ROLLS}/{created[0]}"
    while not cluster.calls("GET", path):  # noqa: ASYNC110 - a server has no event
        await asyncio.sleep(0.01)
    cluster.touch(path, lambda raw: raw.update(status={"phase": phase, "message": "the end"}))
    ended = await command
    assert ended.code == code
    assert ended.err.splitlines() == ["Announced", f"{phase}: the end"]


async def test_wait_gives_up_in_time(cluster: FakeApi, run: Any) -> None:
    ended = await run("roll", "chat-1", "--wait", "--timeout", "1s")
    assert ended.code == 1
    assert "has not ended in time: follow it with 'memroll events chat-1-" in ended.err


@pytest.mark.parametrize("name", ["chat-2-x", "chat-2"])
async def test_a_roll_is_canceled_by_its_name_or_its_pod(name: str, cluster: FakeApi, run: Any) -> None:
    ended = await run("cancel", name)
    assert ended == (0, "podroll.memroll.dev/chat-2-x canceled: the operator restores its pod\n", "")
    assert writes(cluster) == [("PATCH", f"{ROLLS}/chat-2-x", {"spec": {"cancel": True}})]
    assert cluster.get(f"{ROLLS}/chat-2-x")["spec"]["podName"] == "chat-2"
    assert (await run("cancel", name)).out.endswith("is being canceled already\n")
    assert writes(cluster) == []


async def test_a_roll_that_has_ended_is_left_alone(cluster: FakeApi, run: Any) -> None:
    ended = await run("cancel", "chat-1-old")
    assert (ended.code, ended.out) == (0, "podroll.memroll.dev/chat-1-old has ended (Failed): nothing to cancel\n")
    assert writes(cluster) == []


async def test_of_several_rolls_none_is_canceled_if_one_does_not_exist(cluster: FakeApi, run: Any) -> None:
    ended = await run("cancel", "chat-2-x", "other")
    assert (ended.code, writes(cluster)) == (1, [])
    assert (
        "there is no PodRoll other, and none of a pod of this name, in namespace ai; in progress: chat-2-x" in ended.err
    )


@pytest.mark.parametrize(("command", "name", "word"), [("suspend", "chat", "suspended"), ("resume", "web", "resumed")])
async def test_a_policy_is_suspended_or_resumed(
    command: str,
    name: str,
    word: str,
    cluster: FakeApi,
    run: Any,
) -> None:
    ended = await run(command, name)
    assert ended == (0, f"memorypolicy.memroll.dev/{name} {word}\n", "")
    assert writes(cluster) == [("PATCH", f"{POLICIES}/{name}", {"spec": {"suspend": command == "suspend"}})]
    assert cluster.get(f"{POLICIES}/{name}")["spec"]["mode"] == "Enforce"


async def test_all_policies_are_suspended_and_those_that_are_already_are_left_alone(cluster: FakeApi, run: Any) -> None:
    ended = await run("suspend", "--all")
    assert ended.out.splitlines() == [
        "memorypolicy.memroll.dev/chat suspended",
        "memorypolicy.memroll.dev/web unchanged: is suspended already",
    ]
    assert [path for _, path, _ in writes(cluster)] == [f"{POLICIES}/chat"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("suspend",), 2, "either names of policies or --all is needed"),
        (("suspend", "chat", "--all"), 2, "either names of policies or --all is needed"),
        (("resume", "other"), 1, "there is no policy other in namespace ai; there are: chat, web"),
    ],
)
async def test_wrong_names_change_nothing(
    arguments: tuple[str, ...], code: int, words: str, cluster: FakeApi, run: Any
) -> None:
    ended = await run(*arguments)
    assert (ended.code, ended.out, writes(cluster)) == (code, "", [])
    assert words in ended.err


@pytest.mark.parametrize(
    "arguments", [("roll", "chat-1"), ("cancel", "chat-2"), ("suspend", "chat"), ("resume", "web")]
)
async def test_without_the_right_to_write_there_is_one_line(
    arguments: tuple[str, ...], cluster: FakeApi, run: Any
) -> None:
    message = 'x is forbidden: User "jo" cannot patch resource "podrolls" in API group "memroll.dev"'
    cluster.faults += [Fault("403", method=m, times=9, message=message) for m in ("POST", "PATCH")]
    ended = await run(*arguments)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.endswith(
        "'kubectl auth can-i patch podrolls.memroll.dev' must answer yes: request it from an administrator\n"
    )


@pytest.mark.parametrize(
    ("command", "names"),
    [
        ("explain", ["alone", "chat-1", "chat-2"]),
        ("roll", ["alone", "chat-1", "chat-2"]),
        ("status", ["chat", "web"]),
        ("suspend", ["chat", "web"]),
        ("resume", ["chat", "web"]),
        ("cancel", ["chat-1-old", "chat-2-old", "chat-2-x"]),
    ],
)
async def test_names_of_the_cluster_are_completed(
    command: str, names: list[str], cluster: FakeApi, kubeconfig: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("__complete", command, "-n", "ai", "--kubeconfig", kubeconfig)
    for incomplete in ("", "chat"):
        ended = await execute(capsys, *words, incomplete)
        assert ended.out.splitlines() == [*(n for n in names if n.startswith(incomplete)), ":4"]
    cluster.faults.append(Fault("hang", times=9))
    ended = await execute(capsys, *words, "")
    assert ended == (0, ":4\n", ""), "without an answer nothing is completed, and nothing else is printed"
