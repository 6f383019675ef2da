"""The JSON of a pod is decoded to a `Pod`, whatever its shape."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memroll.clients.kube import pods
from memroll.clients.kube.containers import parse_memory
from memroll.clients.kube.pods import KubePodReader, claim_names, decode_pod, get_claim_conflict
from memroll.model.annotations import MAX_ANNOTATION_CHARS
from memroll.model.pods import HASH_ANNOTATION, OWNER_ANNOTATION, Container, ObjectRef, Pod, PodKey

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

AT = "2026-01-02T03:04:05Z"
TIME = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def pod(**parts: Any) -> dict[str, Any]:
    """Build a running pod; each argument overrides fields of the part of its name."""
    metadata = {"name": "chat-0", "namespace": "ai", "uid": "u1", "resourceVersion": "7", "creationTimestamp": AT}
    spec = {"containers": [{"name": "chat", "resources": {"limits": {"memory": "128Mi"}}}]}
    running = {"name": "chat", "containerID": "containerd://c1", "state": {"running": {"startedAt": AT}}}
    status = {
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": AT}],
        "containerStatuses": [{**running, "restartCount": 2}],
    }
    given_parts = {"metadata": metadata, "spec": spec, "status": status}
    return {k: v | parts.get(k, {}) for k, v in given_parts.items()}


def read(raw: dict[str, Any]) -> Pod:
    target = decode_pod(raw)
    assert target is not None
    return target


def container(**status: Any) -> Container:
    return read(pod(status={"containerStatuses": [{"name": "chat", **status}]})).containers[0]


def test_a_running_pod_is_decoded() -> None:
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "chat-abc", "uid": "rs", "controller": True}
    marks = {
        "memroll.dev/do-not-disrupt": "true",
        "karpenter.sh/do-not-disrupt": "true",
        "notmemroll.dev/x": "no",
        "x": "y",
    }
    raw = pod(metadata={"labels": {"app": "chat"}, "annotations": marks, "ownerReferences": [owner]})
    assert decode_pod(raw) == Pod(
        key=PodKey("ai", "chat-0", "u1"),
        resource_version="7",
        created_at=TIME,
        phase="Running",
        ready=True,
        ready_at=TIME,
        deleting=False,
        controller=ObjectRef("apps/v1", "ReplicaSet", "chat-abc", "rs"),
        labels={"app": "chat"},
        annotations={"memroll.dev/do-not-disrupt": "true", "karpenter.sh/do-not-disrupt": "true"},
        containers=(Container("chat", "c1", 128 * 2**20, TIME, restarts=2),),
        owner_references=(owner,),
        may_lack_room=False,
    )


@pytest.mark.parametrize("missing", ["name", "namespace", "uid"])
def test_a_pod_without_an_identity_is_ignored(missing: str) -> None:
    assert decode_pod(pod(metadata={missing: None})) is None


class ListedPods:
    """API server with these pods."""

    def __init__(self, *raws: Any) -> None:
        self.raws = raws

    async def list_items(self, path: str, query: Any) -> AsyncIterator[Any]:
        for raw in self.raws:
            yield raw


async def test_a_pod_that_triggers_a_bug_is_left_out_of_the_list(monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    decode = pods.decode_pod

    def odd(raw: Any) -> Pod | None:
        if raw["metadata"]["name"] == "odd":
            raise ZeroDivisionError
        return decode(raw)

    monkeypatch.setattr(pods, "decode_pod", odd)
    api: Any = ListedPods(pod(), pod(metadata={"name": "odd"}), pod(metadata={"name": "chat-1"}))
    found = await KubePodReader(api).list_pods("ai", "app=chat")
    assert [p.key.name for p in found] == ["chat-0", "chat-1"]
    assert "bug: decoding the pod ai/odd failed" in caplog.text


def test_only_annotations_that_memroll_uses_are_kept_and_no_more_of_them_than_is_parsed() -> None:
    marks = {"memroll.dev/other": "x", OWNER_ANNOTATION: "[" * 2**18, HASH_ANNOTATION: "5d"}
    found = read(pod(metadata={"annotations": marks})).annotations
    assert found == {OWNER_ANNOTATION: "[" * (MAX_ANNOTATION_CHARS + 1), HASH_ANNOTATION: "5d"}


def test_native_sidecars_count_and_other_init_containers_do_not() -> None:
    raw = pod(spec={"initContainers": [{"name": "setup"}, {"name": "proxy", "restartPolicy": "Always"}]})
    raw["status"]["initContainerStatuses"] = [{"name": "proxy", "containerID": "cri-o://p1", "state": {"running": {}}}]
    found = read(raw).containers
    assert [(c.name, c.id) for c in found] == [("chat", "c1"), ("proxy", "")]
    raw["status"]["initContainerStatuses"][0]["state"] = {"running": {"startedAt": AT}}
    assert read(raw).containers[1].id == "p1"


def test_the_limit_of_the_status_takes_precedence() -> None:
    assert container(resources={"limits": {"memory": "256Mi"}}).limit_bytes == 256 * 2**20
    assert container(resources={"limits": {"memory": "what"}}).limit_bytes == 128 * 2**20
    assert container().limit_bytes == 128 * 2**20


@pytest.mark.parametrize(
    ("of_pod", "declared", "expected"),
    [
        pytest.param("1Gi", None, [1024, 1024], id="only the pod has one"),
        pytest.param("1Gi", "128Mi", [128, 1024], id="a container has a lower one"),
        pytest.param("64Mi", "128Mi", [64, 64], id="a container has a higher one"),
        pytest.param(None, "128Mi", [128, None], id="only a container has one"),
        pytest.param("0", "128Mi", [128, None], id="a limit of 0 is none"),
        pytest.param("0", "0", [None, None], id="both are 0"),
        pytest.param({"a": 1}, None, [None, None], id="no quantity"),
    ],
)
def test_the_limit_of_a_pod_counts_for_each_container(of_pod: Any, declared: Any, expected: list[Any]) -> None:
    chat = {"name": "chat"} if declared is None else {"name": "chat", "resources": {"limits": {"memory": declared}}}
    resources = {} if of_pod is None else {"resources": {"limits": {"memory": of_pod}}}
    found = read(pod(spec={"containers": [chat, {"name": "proxy"}], **resources}))
    assert [c.limit_bytes and c.limit_bytes // 2**20 for c in found.containers] == expected
    assert found.limit_bytes == {"1Gi": 2**30, "64Mi": 2**26}.get(str(of_pod))


def test_the_limit_of_a_pod_that_was_resized_is_that_of_its_status() -> None:
    raw = pod(spec={"containers": [{"name": "chat"}], "resources": {"limits": {"memory": "1Gi"}}})
    raw["status"]["resources"] = {"limits": {"memory": "2Gi"}}
    assert (read(raw).limit_bytes, read(raw).containers[0].limit_bytes) == (2**31, 2**31)


@pytest.mark.parametrize("unlimited", ["9007199254740988Ki", "9223372036854771712", 2**53 - 1])
def test_the_largest_number_of_the_kernel_is_no_limit(unlimited: str | int) -> None:
    """Kubernetes 1.37 reports it as the limit of a pod that has none."""
    raw = pod()
    raw["status"]["resources"] = {"limits": {"memory": unlimited}}
    assert (read(raw).limit_bytes, read(raw).containers[0].limit_bytes) == (None, 128 * 2**20)
    assert container(resources={"limits": {"memory": unlimited}}).limit_bytes == 128 * 2**20


@pytest.mark.parametrize("zero", ["0", 0, "0Mi", "0.0"])
def test_a_limit_of_0_is_no_limit(zero: str | int) -> None:
    """The kubelet enforces none: such a pod must not count as one that is above its limit."""
    assert container(resources={"limits": {"memory": zero}}).limit_bytes is None


@pytest.mark.parametrize(
    ("status", "image"),
    [
        ({"image": "registry/chat:2@sha256:1f"}, "registry/chat:2@sha256:1f"),
        ({"image": "sha256:1f"}, "chat:1"),
        ({}, "chat:1"),
        ({"image": 7}, "chat:1"),
    ],
)
def test_the_image_is_the_running_one_else_that_of_the_spec(status: dict[str, Any], image: str) -> None:
    raw = pod(spec={"containers": [{"name": "chat", "image": "chat:1"}]})
    raw["status"]["containerStatuses"] = [{"name": "chat", **status}]
    assert read(raw).containers[0].image == image


def test_a_container_that_is_not_running_has_no_id() -> None:
    assert container(containerID="containerd://old", state={"waiting": {"reason": "CrashLoopBackOff"}}).id == ""


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        pytest.param({"lastState": {"terminated": {"reason": "OOMKilled", "finishedAt": AT}}}, TIME, id="the last run"),
        pytest.param({"state": {"terminated": {"reason": "OOMKilled", "finishedAt": AT}}}, TIME, id="this run"),
        pytest.param({"lastState": {"terminated": {"reason": "Error", "finishedAt": AT}}}, None, id="another reason"),
        pytest.param({}, None, id="never terminated"),
    ],
)
def test_oom_kills(status: dict[str, Any], expected: datetime | None) -> None:
    assert container(**status).oom_killed_at == expected


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param({}, "", id="nothing"),
        pytest.param({"hostNetwork": True}, "host network", id="the host's network"),
        pytest.param({"containers": [{"name": "c", "ports": [{"hostPort": 80}]}]}, "host port 80", id="a host port"),
        pytest.param({"containers": [{"name": "c", "ports": [{"containerPort": 80}]}]}, "", id="no host port"),
    ],
)
def test_host_network_and_ports_make_a_pod_exclusive(spec: dict[str, Any], expected: str) -> None:
    assert read(pod(spec=spec)).exclusive_because == expected


@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        pytest.param({"spec": {"accessModes": ["ReadWriteOnce"]}}, "claim data is ReadWriteOnce", id="one node"),
        pytest.param({"spec": {"accessModes": ["ReadWriteOncePod"]}}, "claim data is ReadWriteOncePod", id="one pod"),
        pytest.param({"spec": {"accessModes": ["ReadWriteMany"]}}, "", id="many nodes"),
        pytest.param({"spec": {"accessModes": ["ReadWriteOnce", "ReadOnlyMany"]}}, "", id="one writer, many readers"),
        pytest.param(
            {"spec": {"accessModes": ["ReadWriteMany"]}, "status": {"accessModes": ["ReadWriteOnce"]}},
            "claim data is ReadWriteOnce",
            id="the bound volume takes precedence",
        ),
        pytest.param({}, "can't read claim data", id="no access modes"),
        pytest.param({"spec": {"accessModes": "x"}}, "can't read claim data", id="an invalid value"),
    ],
)
def test_claim_conflicts(claim: dict[str, Any], expected: str) -> None:
    assert get_claim_conflict("data", claim) == expected


def test_ephemeral_volumes_are_not_shared_claims() -> None:
    volumes = [{"name": "a", "ephemeral": {}}, {"name": "b", "persistentVolumeClaim": {"claimName": "data"}}]
    assert claim_names(pod(spec={"volumes": volumes})) == ("data",)


def test_a_mirror_pod_is_static() -> None:
    assert read(pod(metadata={"annotations": {"kubernetes.io/config.mirror": "x"}})).static


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("128Mi", 128 * 2**20), ("1.5Gi", 3 * 2**29), ("1e3", 1000), ("500M", 5 * 10**8), (1000, 1000), ("100m", 0),
        ("Infinity", None), ("1e999999999", None), ("\u0661\u0662\u0668Mi", None), ("-1", None), ("", None),
        (None, None), (True, None), ("1_000", None), (" 1", None), ("1Mi\n", None),
    ],
)  # fmt: skip
def test_quantities_of_memory(written: object, expected: int | None) -> None:
    assert parse_memory(written) == expected


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just(AT),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


def places(obj: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """List the path of every value in a JSON document."""
    inner = obj.items() if isinstance(obj, dict) else enumerate(obj) if isinstance(obj, list) else ()
    return [found for key, value in inner for found in [(*path, key), *places(value, (*path, key))]]


RICH = pod(
    metadata={"labels": {"a": "b"}, "annotations": {"a": "b"}, "ownerReferences": [{"controller": True, "uid": "x"}]},
    spec={
        "containers": [{"name": "chat", "ports": [{"hostPort": 1}], "resources": {"limits": {"memory": "1Mi"}}}],
        "initContainers": [{"name": "proxy", "restartPolicy": "Always"}],
        "volumes": [{"persistentVolumeClaim": {"claimName": "data"}}],
    },
)


@settings(max_examples=300)
@given(place=st.sampled_from(places(RICH)), odd=ODD)
def test_an_unexpected_value_anywhere_never_raises(place: tuple[Any, ...], odd: Any) -> None:
    raw = pod(metadata=RICH["metadata"], spec=RICH["spec"])
    raw = copy.deepcopy(raw)
    holder: Any = raw
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = odd
    assert isinstance(decode_pod(raw), Pod | None)
    assert isinstance(claim_names(raw), tuple)


@settings(max_examples=200)
@given(raw=st.dictionaries(st.sampled_from(["metadata", "spec", "status"]), ODD))
def test_an_arbitrary_json_object_is_no_pod(raw: dict[str, Any]) -> None:
    assert decode_pod(raw) is None


@settings(max_examples=300)
@given(written=st.text(max_size=12) | st.integers() | st.floats())
def test_no_quantity_raises(written: object) -> None:
    size = parse_memory(written)
    assert size is None or size >= 0


IMAGES = [
    pytest.param({"image": "docker.io/ai/chat:1"}, "docker.io/ai/chat:1", id="the running one"),
    pytest.param({"image": "sha256:0a1b"}, "chat:1", id="only a digest: that of the spec"),
    pytest.param({}, "chat:1", id="not running yet"),
    pytest.param({"image": 7}, "chat:1", id="an invalid value"),
]


@pytest.mark.parametrize(("status", "image"), IMAGES)
def test_the_image_of_a_container(status, image):
    declared = {"containers": [{"name": "chat", "image": "chat:1"}]}
    raw = pod(spec=declared, status={"containerStatuses": [{"name": "chat", **status}]})
    assert read(raw).containers[0].image == image


PORTS = [{"containerPort": 8080}, {"containerPort": 53, "protocol": "UDP"}, {"containerPort": "x"}, {"name": "none"}]


def test_declared_tcp_ports_are_decoded():
    raw = pod(spec={"containers": [{"name": "chat", "ports": PORTS}]})
    assert read(raw).containers[0].ports == (8080,)


@pytest.mark.parametrize(
    ("spec", "status", "expected"),
    [
        pytest.param({}, {"podIP": "10.0.0.9", "hostIP": "192.168.0.2"}, "10.0.0.9", id="its own"),
        pytest.param({}, {"podIP": "fd00::9", "hostIP": "192.168.0.2"}, "fd00::9", id="IPv6"),
        pytest.param({"hostNetwork": True}, {"podIP": "192.168.0.2"}, "", id="on its host's network"),
        pytest.param(
            {}, {"podIP": "192.168.0.2", "hostIP": "192.168.0.2"}, "", id="its node's, although the spec denies it"
        ),
        pytest.param({}, {"podIP": 7}, "", id="an invalid value"),
        pytest.param({}, {}, "", id="none yet"),
    ],
)
def test_the_pod_s_own_address(spec, status, expected):
    assert read(pod(spec=spec, status=status)).ip == expected


NO_NODE = "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available."
GATED = "Scheduling is blocked due to non-empty scheduling gates"


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        pytest.param(
            {"status": "False", "reason": "Unschedulable", "message": NO_NODE}, (True, f"Unschedulable: {NO_NODE}"),
            id="no node has room",
        ),
        pytest.param(
            {"status": "False", "reason": "SchedulingGated", "message": GATED}, (True, f"SchedulingGated: {GATED}"),
            id="held by a scheduling gate, as by Kueue",
        ),
        pytest.param({"status": "False", "reason": "SchedulerError", "message": "x"}, (False, ""), id="an error"),
        pytest.param({"status": "True"}, (False, ""), id="scheduled"),
        pytest.param({"status": "False", "reason": 7}, (False, ""), id="an invalid value"),
    ],
)  # fmt: skip
def test_whether_a_pod_has_no_room(condition, expected):
    conditions = [{"type": "PodScheduled", "lastTransitionTime": AT, **condition}]
    found = read(pod(status={"phase": "Pending", "conditions": conditions, "containerStatuses": []}))
    assert (found.unschedulable, found.not_ready_reason) == expected


LOW_ON_MEMORY = (
    "The node was low on resource: memory. Threshold quantity: 100Mi, available: 92Mi. Container chat was using"
)
EVICTED = {"phase": "Failed", "reason": "Evicted", "message": LOW_ON_MEMORY}
TARGETED = {"type": "DisruptionTarget", "status": "True", "lastTransitionTime": AT}
ENDED_AT = "2026-01-02T03:04:09Z"
ENDED = {"name": "chat", "state": {"terminated": {"reason": "Error", "finishedAt": ENDED_AT}}}
STALE_READY = {"type": "Ready", "status": "True", "lastTransitionTime": AT}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        pytest.param({"conditions": [TARGETED], "containerStatuses": [ENDED]}, TIME, id="by the condition"),
        pytest.param({"conditions": [], "containerStatuses": [ENDED]}, TIME.replace(second=9), id="by its end"),
        pytest.param({"conditions": [STALE_READY], "containerStatuses": []}, TIME, id="by its Ready condition"),
        pytest.param({"conditions": [], "containerStatuses": []}, None, id="at an unknown time"),
        pytest.param({"message": "The node was low on resource: [memory]. "}, TIME, id="of an older kubelet"),
        pytest.param({"message": "The node was low on resource: ephemeral-storage. "}, None, id="for disk space"),
        pytest.param({"message": "Pod The node had condition: [MemoryPressure]. "}, None, id="it never ran"),
        pytest.param({"reason": "Preempting"}, None, id="another reason"),
        pytest.param({"phase": "Running"}, None, id="it runs"),
        pytest.param({"reason": ["Evicted"], "message": 7}, None, id="odd values"),
    ],
)
def test_an_eviction_for_node_pressure(status: dict[str, Any], expected: datetime | None) -> None:
    assert read(pod(status=EVICTED | status)).node_pressure_evicted_at == expected


@pytest.mark.parametrize(
    ("phase", "has_ended"), [("Failed", True), ("Succeeded", True), ("Running", False), ("Pending", False), ("", False)]
)
def test_a_pod_that_has_ended_is_not_ready(phase: str, *, has_ended: bool) -> None:
    found = read(pod(status={"phase": phase, "conditions": [STALE_READY]}))
    assert (found.has_ended, found.ready) == (has_ended, not has_ended)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param({"containers": [{"name": "a", "resources": {"requests": {"memory": "1Gi"}}}]}, False, id="memory"),
        pytest.param({"containers": [{"name": "a", "resources": {"requests": {"amd.com/gpu": "1"}}}]}, True, id="GPU"),
        pytest.param({"initContainers": [{"name": "a", "resources": {"requests": {"x.y/z": "1"}}}]}, True, id="init"),
        pytest.param(
            {"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{}]}}},
            True,
            id="required anti-affinity",
        ),
        pytest.param(
            {"affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{}]}}},
            False,
            id="preferred anti-affinity",
        ),
    ],
)
def test_only_a_pod_with_needs_that_few_nodes_meet_may_lack_room(spec: Any, expected: bool) -> None:  # noqa: FBT001
    metadata = {"name": "p", "namespace": "ai", "uid": "u"}
    decoded = decode_pod({"metadata": metadata, "spec": spec})
    assert decoded is not None
    assert decoded.may_lack_room is expected
