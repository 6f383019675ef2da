"""Do-not-disrupt annotations: times at the end of what can be represented, and those of the autoscalers."""

from __future__ import annotations

import pytest

from memroll.model.pods import DO_NOT_DISRUPT_ANNOTATION
from memroll.rolling.do_not_disrupt import do_not_disrupt
from tests.builders import NOW, at, pod, workload

LAST = "9999-12-31T23:59:59"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        pytest.param(f"{LAST}Z", f"until {LAST}Z", id="the last second of 9999 in UTC"),
        pytest.param(f"{LAST}-01:00", f": '{LAST}-01:00'", id="an hour later: it is no time in UTC"),
        pytest.param("0001-01-01T00:00:00+01:00", "", id="before the year 1 in UTC"),
    ],
)
@pytest.mark.parametrize("kind", ["pod", "namespace", "workload"])
def test_protection_until_a_time_out_of_range_is_no_error(kind, value, reason):
    marks = {"pod": {}, "namespace": {}} | {kind: {DO_NOT_DISRUPT_ANNOTATION: value}}
    marks["pod"] = pod(annotations=marks["pod"])
    marks["workload"] = workload(do_not_disrupt=value if kind == "workload" else None)
    name = "Deployment/leaky" if kind == "workload" else f"the {kind}"
    expected = f"{name} is marked {DO_NOT_DISRUPT_ANNOTATION}{'' if reason[:1] == ':' else ' '}{reason}"
    assert do_not_disrupt(now=NOW, **marks) == (expected if reason else "")


KARPENTER = "karpenter.sh/do-not-disrupt"
SAFE_TO_EVICT = "cluster-autoscaler.kubernetes.io/safe-to-evict"


@pytest.mark.parametrize(
    ("annotations", "seconds", "reason"),
    [
        pytest.param({KARPENTER: "true"}, 9e6, f"{KARPENTER}: true", id="Karpenter"),
        pytest.param({KARPENTER: "false"}, 0, "", id="Karpenter may"),
        pytest.param({KARPENTER: "30m"}, 1799, f"{KARPENTER}: 30m, until {at(1800):%FT%TZ}", id="for 30 minutes"),
        pytest.param({KARPENTER: "30m"}, 1800, "", id="30 minutes later"),
        pytest.param({KARPENTER: "1h30m"}, 5399, f"{KARPENTER}: 1h30m, until {at(5400):%FT%TZ}", id="in two units"),
        pytest.param({KARPENTER: "half an hour"}, 9e6, f"{KARPENTER}: half an hour", id="a value that is no duration"),
        pytest.param({KARPENTER: "9999999h"}, 0, f"{KARPENTER}: 9999999h", id="a time that can't be represented"),
        pytest.param({SAFE_TO_EVICT: "false"}, 0, f"{SAFE_TO_EVICT}: false", id="the Cluster Autoscaler"),
        pytest.param({SAFE_TO_EVICT: "true"}, 0, "", id="the Cluster Autoscaler may"),
    ],
)
def test_annotations_of_autoscalers_protect_a_pod(annotations, seconds, reason):
    marked = pod(annotations=annotations, created_at=at(-60), started_at=at(0))
    assert do_not_disrupt(marked, None, {}, at(seconds)) == (f"the pod is marked {reason}" if reason else "")


def test_a_pod_without_a_start_counts_from_its_creation():
    marked = pod(annotations={KARPENTER: "30m"}, created_at=at(0))
    assert do_not_disrupt(marked, None, {}, at(1799))
    assert not do_not_disrupt(marked, None, {}, at(1800))


@pytest.mark.parametrize(
    ("value", "seconds", "reason"),
    [
        pytest.param("true", 0, ": 'true'", id="for good"),
        pytest.param("false", 0, "", id="not"),
        pytest.param(None, 0, "", id="without the annotation"),
        pytest.param(f"{at(60):%FT%TZ}", 59, f" until {at(60):%FT%TZ}", id="until a time"),
        pytest.param(f"{at(60):%FT%TZ}", 60, "", id="after that time"),
        pytest.param("30m", 0, ": '30m'", id="a value that is no time protects"),
    ],
)
def test_the_annotation_of_a_workload_protects_all_of_its_pods(value, seconds, reason):
    marked = workload(do_not_disrupt=value)
    found = do_not_disrupt(pod(), marked, {}, at(seconds))
    assert found == (f"Deployment/leaky is marked {DO_NOT_DISRUPT_ANNOTATION}{reason}" if reason else "")
