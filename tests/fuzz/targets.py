"""Targets of the fuzzer: each decodes an input as memroll does, and raises only for a bug.

Bytes go in. A reader may return a value or raise its documented error; what it returned is used as the next layers use
it. Called by the fuzzer (`tests.fuzz.run_target`), by the replay of the corpus and by the property tests.
"""

from __future__ import annotations

import json
import math
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from memroll.api import quantity
from memroll.api.base import MAX_REFERENCE_CHARS
from memroll.api.decode import decode_or_none, summarize
from memroll.api.evidence import MAX_LINE_CHARS, MAX_NUMBER
from memroll.api.pod_roll import PodRoll
from memroll.api.policy import MemoryPolicy, PolicyStatus, WorkloadAutoscaler, read_status
from memroll.clients.kube import autoscalers, placement, pod_revisions, rollouts, services, workload_decoding, workloads
from memroll.clients.kube.api_client import build_path
from memroll.clients.kube.containers import parse_memory
from memroll.clients.kube.event_recorder import event_name, truncate_message
from memroll.clients.kube.json_access import get_dict, get_dicts, get_str_dict
from memroll.clients.kube.pods import claim_names, decode_pod, get_claim_conflict
from memroll.clients.kube.selectors import selector_string
from memroll.clients.prometheus.query_plan import SeriesKind, TimeRange
from memroll.clients.prometheus.response import BadResponseError, iter_series
from memroll.clients.prometheus.rows import SeriesRowBuilder
from memroll.controller.context import new_policy_index, new_roll_index
from memroll.errors import NotFoundError, ProbeUnavailableError, TerminalError
from memroll.evidence.capture_time import capture_time_left_s
from memroll.evidence.describe import describe_evidence
from memroll.evidence.probe_report import parse_report
from memroll.evidence.sections import MAX_LOG_CHARS, container_restarts, log_tail
from memroll.model.annotations import RecordedOwners, labels_from_annotation
from memroll.model.placement import MAX_REASON_CHARS, SecondCopy, missing_room_because
from memroll.model.pod_names import workload_from_pod_name, workload_or_pod
from memroll.model.pods import DETACHED_ANNOTATION, DO_NOT_DISRUPT_ANNOTATION, OWNER_ANNOTATION, ROLL_ANNOTATION
from memroll.model.revisions import revision_of, revision_of_roll
from memroll.model.roll_record import RollRecord
from memroll.reporting.events import MAX_MESSAGE_BYTES, Event, EventReason, EventType, Regarding
from memroll.rolling.do_not_disrupt import do_not_disrupt
from memroll.rolling.orphans import hash_label_of
from tests.builders import pod as any_pod
from tests.fuzz import seeds
from tests.hostile_pods import REPORT

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Target:
    """Function that gets an input as bytes, and valid inputs to derive others from."""

    run: Callable[[bytes], None]
    seeds: tuple[bytes, ...]
    is_json: bool = True


def encode(value: Any) -> bytes:
    return json.dumps(value).encode()


def _json(check: Callable[[Any], None], *valid: Any) -> Target:
    def run(data: bytes) -> None:
        try:
            value = json.loads(data)
        except (ValueError, RecursionError):
            return  # the client of the API server rejects it
        if isinstance(value, dict):
            check(value)

    return Target(run, tuple(map(encode, valid)))


def _text(check: Callable[[str], None], *valid: str) -> Target:
    """Build a target for text. Bytes that are not UTF-8 become half surrogate pairs."""
    encoded = tuple(text.encode() for text in valid)
    return Target(lambda data: check(data.decode(errors="surrogateescape")), encoded, is_json=False)


def check_pod(raw: dict[str, Any]) -> None:
    pod, claims = decode_pod(raw), claim_names(raw)
    for claim in claims:
        get_claim_conflict(claim, raw)
    if pod is None:
        return
    for container in pod.containers:
        assert container.limit_bytes is None or 0 <= container.limit_bytes <= MAX_NUMBER
        if container.started_at:
            _ = container.started_at - (NOW - container.started_at)  # a window as long as its age, before it
    named = [c for c in pod.containers if len(c.name) <= 63]  # as the API server requires
    list(container_restarts(any_pod(containers=tuple(named)), "", None))
    hash_label_of(pod)
    _ = (workload_or_pod(pod), revision_of(pod), workload_from_pod_name(pod.key.name))
    check_annotations(pod.annotations)


def check_annotations(annotations: Any) -> None:
    owners = RecordedOwners.from_annotation(annotations.get(OWNER_ANNOTATION, ""))
    for ref in (owners.controller, owners.owner):
        if ref is not None:
            hash(ref)
            _build_path(ref.name)
            with suppress(KeyError):  # callers check the kind before
                workloads.resource_of(ref)
    labels_from_annotation(annotations.get(DETACHED_ANNOTATION, "")).items()
    marked = any_pod(annotations=annotations)
    assert isinstance(do_not_disrupt(marked, None, annotations, NOW), str)
    _build_path(annotations.get(ROLL_ANNOTATION, ""))


def _build_path(name: str) -> None:
    with suppress(NotFoundError):
        build_path("/api/v1", "ai", "pods", name)


def check_annotation_text(text: str) -> None:
    check_annotations(dict.fromkeys((OWNER_ANNOTATION, DETACHED_ANNOTATION, DO_NOT_DISRUPT_ANNOTATION), text))


def check_workload(raw: dict[str, Any]) -> None:
    owner, replica_sets = get_dict(raw, "owner"), get_dicts(raw, "replicaSets")
    for own in replica_sets[:3]:
        rollouts.describe_deployment_rollout(owner, own, replica_sets)
        rollouts.describe_argo_rollout(owner, own, replica_sets)
        rollouts.is_current_of_deployment(owner, own)
        rollouts.is_current_of_rollout(owner, own)
        with suppress(TerminalError):
            workload_decoding.selector_of_all_revisions(own)
    rollouts.describe_stateful_set_rollout(owner)
    rollouts.describe_daemon_set_rollout(owner)
    rollouts.describe_argo_restart(owner)
    rollouts.has_recreate_strategy(owner)
    rollouts.must_not_surge_because(owner)
    rollouts.replica_failure(owner)
    _check_revisions(owner)
    workload_decoding._restarted_at(owner)
    with suppress(TerminalError):
        selector_string(get_dict(owner, "spec", "selector"))


def _check_revisions(owner: dict[str, Any]) -> None:
    pod_revisions.describe_replacing_stateful_set(owner)
    pod_revisions.describe_replacing_daemon_set(owner)
    for found in (pod_revisions.stateful_set_revisions(owner), pod_revisions.daemon_set_revisions(owner)):
        if found is not None:
            found.describe("chat-1", {found.label: found.latest})
            found.describe("chat-99999999999999999999", {})


def check_network(raw: dict[str, Any]) -> None:
    labels, policies = get_str_dict(raw, "labels"), get_dicts(raw, "policies")
    listed = get_dicts(raw, "services")
    selecting = services.Selecting(listed, policies, budgets=policies)
    services.describe_hash_selector(labels, "pod-template-hash", selecting, "ai")
    with suppress(ValidationError):  # the API server accepts no such labels
        services.plan_detachment(labels, listed, policies, "ai")


def check_placement(raw: dict[str, Any]) -> None:
    pods, old = get_dicts(raw, "pods"), get_dict(raw, "pod")
    placed = placement.decode_placed(old)
    if placed is None:
        return
    copy = SecondCopy(placed, placement.decode_needs(old), {})
    others = [p for other in [old, *pods] if (p := placement.decode_placed(other)) is not None]
    neighbors = [n for other in others if (n := copy.neighbor(other)) is not None]
    nodes = [placement.decode_node(node) for node in get_dicts(raw, "nodes")]
    reason = missing_room_because(copy, nodes, neighbors)
    assert len(reason) <= MAX_REASON_CHARS
    reason.encode()


def check_autoscalers(raw: dict[str, Any]) -> None:
    for autoscaler in autoscalers.decode_autoscalers(*(get_dicts(raw, kind) for kind in ("hpas", "vpas", "scaled"))):
        WorkloadAutoscaler(
            name=str(autoscaler)[:MAX_REFERENCE_CHARS], workload=str(autoscaler.target)[:MAX_REFERENCE_CHARS],
            message=autoscaler.message,
        ).model_dump_json()  # fmt: skip


def check_policy(raw: dict[str, Any]) -> None:
    new_policy_index().decode(raw)
    decode_or_none(raw, MemoryPolicy.read)
    assert isinstance(read_status(raw), PolicyStatus)
    try:
        policy = MemoryPolicy.read(raw)
    except ValidationError as error:
        summarize(error, "spec.")
        return
    wire = policy.spec.to_dict() | ({"mode": policy.spec.mode.value})
    assert MemoryPolicy.read(raw | {"spec": wire}).spec == policy.spec
    for limit_bytes in (None, 2**30):
        policy.spec.growth.per_hour.to_bytes_per_hour(limit_bytes)


def check_roll(raw: dict[str, Any]) -> None:
    record = new_roll_index().decode(raw)
    try:
        roll = PodRoll.read(raw)
    except ValidationError as error:
        summarize(error)
        return
    assert PodRoll.read(raw | {"spec": roll.spec.to_dict(), "status": roll.status.to_dict()}).spec == roll.spec
    assert isinstance(record, RollRecord), "an index decodes each valid PodRoll"
    assert (record.active, record.pod_uid, record.created_at) == (roll.active, roll.pod_uid, roll.created_at)
    _ = (roll.active, roll.pod_uid, revision_of_roll(roll), capture_time_left_s(roll, any_pod(), NOW))
    _build_path(roll.spec.policy)
    if roll.status.evidence:
        describe_evidence(roll.spec.pod_name, roll.status.evidence)


def check_report(data: bytes) -> None:
    with suppress(ProbeUnavailableError):
        report = parse_report(data)
        json.dumps(report.to_dict(), ensure_ascii=False).encode()


def check_log(text: str) -> None:
    tail = log_tail("app", text.split("\n"), MAX_LOG_CHARS)
    for line in tail.lines if tail else ():
        assert len(line) <= MAX_LINE_CHARS
        line.encode()


def check_event(text: str) -> None:
    assert len(truncate_message(text).encode()) <= MAX_MESSAGE_BYTES
    regarding = Regarding("v1", "Pod", "ai", text[:300], "u1")
    event_name(Event(regarding, EventType.NORMAL, EventReason.ROLL_BLOCKED, text, text[:50]))


def check_prometheus(data: bytes) -> None:
    builder = SeriesRowBuilder("ai")
    with suppress(BadResponseError):
        read = list(iter_series(data.decode(errors="replace"), "matrix"))
        builder.add(SeriesKind.RSS, read, TimeRange(0.0, 1e9), lambda _: True)
    for row in builder.build():
        assert all(map(math.isfinite, row.rss.values.tolist()))


def check_quantity(text: str) -> None:
    parse_memory(text)
    parsers: tuple[Callable[[object], object], ...] = (
        quantity.parse_duration, quantity.parse_bytes, quantity.parse_percentage, quantity.GrowthRate.parse,
        quantity.CountOrPercentage.parse, quantity.AutoOrDuration.parse,
    )  # fmt: skip
    for parse in parsers:
        with suppress(ValueError):
            parse(text)
    with suppress(ValueError):
        quantity.humanize_duration(abs(float(text)))


TARGETS: dict[str, Target] = {
    "pod": _json(check_pod, seeds.POD),
    "annotation": _text(check_annotation_text, seeds.RECORD, '{"app":"chat"}', seeds.AT, "true"),
    "workload": _json(check_workload, seeds.WORKLOAD),
    "network": _json(check_network, seeds.NETWORK),
    "autoscalers": _json(check_autoscalers, seeds.AUTOSCALERS),
    "placement": _json(check_placement, seeds.PLACEMENT),
    "policy": _json(check_policy, seeds.POLICY),
    "roll": _json(check_roll, seeds.ROLL),
    "report": Target(check_report, (encode(REPORT),)),
    "log": _text(check_log, seeds.LOG),
    "event": _text(check_event, "Pod chat-0 is blocked by gate NotDue"),
    "prometheus": Target(check_prometheus, (encode(seeds.PROMETHEUS),)),
    "quantity": _text(check_quantity, "128Mi", "1.5Gi", "6h", "1h30m", "95%", "Auto", "3", "1e3"),
}
"""Targets by name; the corpus of each is in the folder of its name."""
