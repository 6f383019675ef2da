"""A pod's JSON becomes a Target, however odd it is."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memroll.clients.kube.pods import bytes_of, claim_pins, claims_of, decode
from memroll.model.pods import Container, ObjectRef, PodKey, Target

AT = "2026-01-02T03:04:05Z"
TIME = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def pod(**parts: Any) -> dict[str, Any]:
    """Build a running pod; each part replaces the one of its name."""
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


def read(raw: dict[str, Any]) -> Target:
    target = decode(raw)
    assert target is not None
    return target


def container(**status: Any) -> Container:
    return read(pod(status={"containerStatuses": [{"name": "chat", **status}]})).containers[0]


def test_a_running_pod_is_read_whole() -> None:
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "chat-abc", "uid": "rs", "controller": True}
    marks = {"memroll.dev/protect": "true", "karpenter.sh/do-not-disrupt": "true", "notmemroll.dev/x": "no", "x": "y"}
    raw = pod(metadata={"labels": {"app": "chat"}, "annotations": marks, "ownerReferences": [owner]})
    assert decode(raw) == Target(
        key=PodKey("ai", "chat-0", "u1"),
        resource_version="7",
        created_at=TIME,
        phase="Running",
        ready=True,
        ready_at=TIME,
        deleting=False,
        controller=ObjectRef("apps/v1", "ReplicaSet", "chat-abc", "rs"),
        labels={"app": "chat"},
        annotations={"memroll.dev/protect": "true", "karpenter.sh/do-not-disrupt": "true"},
        containers=(Container("chat", "c1", 128 * 2**20, TIME, restarts=2),),
    )


@pytest.mark.parametrize("missing", ["name", "namespace", "uid"])
def test_a_pod_without_an_identity_is_none(missing: str) -> None:
    assert decode(pod(metadata={missing: None})) is None


def test_native_sidecars_count_and_other_init_containers_do_not() -> None:
    raw = pod(spec={"initContainers": [{"name": "setup"}, {"name": "proxy", "restartPolicy": "Always"}]})
    raw["status"]["initContainerStatuses"] = [{"name": "proxy", "containerID": "cri-o://p1", "state": {"running": {}}}]
    found = read(raw).containers
    assert [(c.name, c.id) for c in found] == [("chat", "c1"), ("proxy", "")]
    raw["status"]["initContainerStatuses"][0]["state"] = {"running": {"startedAt": AT}}
    assert read(raw).containers[1].id == "p1"


def test_the_limit_in_force_is_the_one_in_the_status() -> None:
    assert container(resources={"limits": {"memory": "256Mi"}}).limit_bytes == 256 * 2**20
    assert container(resources={"limits": {"memory": "what"}}).limit_bytes == 128 * 2**20
    assert container().limit_bytes == 128 * 2**20


@pytest.mark.parametrize(
    ("status", "image"),
    [
        ({"image": "registry/chat:2@sha256:1f"}, "registry/chat:2@sha256:1f"),
        ({"image": "sha256:1f"}, "chat:1"),
        ({}, "chat:1"),
        ({"image": 7}, "chat:1"),
    ],
)
def test_the_image_is_the_one_that_runs_else_the_one_that_was_asked_for(status: dict[str, Any], image: str) -> None:
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
        pytest.param({"lastState": {"terminated": {"reason": "Error", "finishedAt": AT}}}, None, id="another end"),
        pytest.param({}, None, id="no end at all"),
    ],
)
def test_an_oom_kill_is_seen_in(status: dict[str, Any], expected: datetime | None) -> None:
    assert container(**status).oom_killed_at == expected


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param({}, "", id="nothing"),
        pytest.param({"hostNetwork": True}, "host network", id="the host's network"),
        pytest.param({"containers": [{"name": "c", "ports": [{"hostPort": 80}]}]}, "host port 80", id="a host port"),
        pytest.param({"containers": [{"name": "c", "ports": [{"containerPort": 80}]}]}, "", id="not its own port"),
    ],
)
def test_a_pod_is_pinned_by(spec: dict[str, Any], expected: str) -> None:
    assert read(pod(spec=spec)).pinned_by == expected


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
            id="what is bound, not what was asked",
        ),
        pytest.param({}, "can't read claim data", id="nothing known"),
        pytest.param({"spec": {"accessModes": "x"}}, "can't read claim data", id="nonsense"),
    ],
)
def test_a_claim_pins_a_pod(claim: dict[str, Any], expected: str) -> None:
    assert claim_pins("data", claim) == expected


def test_ephemeral_volumes_are_no_claims_to_share() -> None:
    volumes = [{"name": "a", "ephemeral": {}}, {"name": "b", "persistentVolumeClaim": {"claimName": "data"}}]
    assert claims_of(pod(spec={"volumes": volumes})) == ("data",)


def test_a_mirror_of_a_static_pod_is_seen() -> None:
    assert read(pod(metadata={"annotations": {"kubernetes.io/config.mirror": "x"}})).mirror


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("128Mi", 128 * 2**20), ("1.5Gi", 3 * 2**29), ("1e3", 1000), ("500M", 5 * 10**8), (1000, 1000), ("100m", 0),
        ("Infinity", None), ("1e999999999", None), ("\u0661\u0662\u0668Mi", None), ("-1", None), ("", None),
        (None, None), (True, None), ("1_000", None), (" 1", None), ("1Mi\n", None),
    ],
)  # fmt: skip
def test_quantities_of_memory(written: object, expected: int | None) -> None:
    assert bytes_of(written) == expected


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
def test_an_odd_value_anywhere_never_raises(place: tuple[Any, ...], odd: Any) -> None:
    raw = pod(metadata=RICH["metadata"], spec=RICH["spec"])
    raw = copy.deepcopy(raw)
    holder: Any = raw
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = odd
    assert isinstance(decode(raw), Target | None)
    assert isinstance(claims_of(raw), tuple)


@settings(max_examples=200)
@given(raw=st.dictionaries(st.sampled_from(["metadata", "spec", "status"]), ODD))
def test_any_json_object_is_no_pod_and_no_crash(raw: dict[str, Any]) -> None:
    assert decode(raw) is None


@settings(max_examples=300)
@given(written=st.text(max_size=12) | st.integers() | st.floats())
def test_no_quantity_raises(written: object) -> None:
    size = bytes_of(written)
    assert size is None or size >= 0


IMAGES = [
    pytest.param({"image": "docker.io/ai/chat:1"}, "docker.io/ai/chat:1", id="the one that runs"),
    pytest.param({"image": "sha256:0a1b"}, "chat:1", id="only its digest: the one that was asked for"),
    pytest.param({}, "chat:1", id="none runs yet"),
    pytest.param({"image": 7}, "chat:1", id="what can't be read"),
]


@pytest.mark.parametrize(("status", "image"), IMAGES)
def test_a_container_names_its_image(status, image):
    declared = {"containers": [{"name": "chat", "image": "chat:1"}]}
    raw = pod(spec=declared, status={"containerStatuses": [{"name": "chat", **status}]})
    assert read(raw).containers[0].image == image


PORTS = [{"containerPort": 8080}, {"containerPort": 53, "protocol": "UDP"}, {"containerPort": "x"}, {"name": "none"}]


def test_the_tcp_ports_that_a_container_declares_are_known():
    raw = pod(spec={"containers": [{"name": "chat", "ports": PORTS}]})
    assert read(raw).containers[0].ports == (8080,)


@pytest.mark.parametrize(
    ("spec", "status", "expected"),
    [
        pytest.param({}, {"podIP": "10.0.0.9", "hostIP": "192.168.0.2"}, "10.0.0.9", id="its own"),
        pytest.param({}, {"podIP": "fd00::9", "hostIP": "192.168.0.2"}, "fd00::9", id="IPv6"),
        pytest.param({"hostNetwork": True}, {"podIP": "192.168.0.2"}, "", id="on its host's network"),
        pytest.param(
            {}, {"podIP": "192.168.0.2", "hostIP": "192.168.0.2"}, "", id="its node's, whatever the spec says"
        ),
        pytest.param({}, {"podIP": 7}, "", id="nonsense"),
        pytest.param({}, {}, "", id="none yet"),
    ],
)
def test_a_pod_s_own_address(spec, status, expected):
    assert read(pod(spec=spec, status=status)).ip == expected
