"""The references of metrics, Events and conditions describe all that the code has."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from functools import cache
from typing import TYPE_CHECKING

import pytest

from memroll.api.conditions import ConditionType
from memroll.clients.prometheus.errors import QueryErrorReason
from memroll.controller.context import NAMESPACE_EXCLUDED
from memroll.controller.manual_rolls import TOO_MANY
from memroll.planning.misconfiguration import MisconfigurationReason
from memroll.reporting.events import EventReason, EventType
from memroll.reporting.metrics import Metrics
from tests.texts import ROOT, module, python_files

if TYPE_CHECKING:
    from collections.abc import Iterator

ERRORS = {
    "TerminalError", "BoundExceededError", "ClusterUnavailableError", "ConflictError", "NotFoundError", "Shortfall",
}  # fmt: skip
"""Classes whose first argument is a reason of a condition."""
NOT_RECONCILED = re.compile(r"operator/memroll/(cli|backtest|inspection)/")
"""Modules of the commands, whose errors are in no condition."""
IN_NO_STATUS = {"NoCluster", "NoCRDs", "WatchFailed", "PageTooLarge"}
"""Reasons of errors that no reconcile ends with: two at the start of the process, and two that are handled."""
OBJECTS = {"all", "pod", "workload", "policy", "PodRoll"}


def rows(page: str) -> dict[str, list[str]]:
    """Return the cells of each row of a page's tables, by each name in its first cell."""
    found = {}
    for line in (ROOT / "docs" / page).read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `"):
            found |= dict.fromkeys(re.findall(r"`(\w+)`", cells[0]), cells[1:])
    return found


METRICS, EVENTS, CONDITIONS = rows("metrics.md"), rows("events.md"), rows("conditions.md")


def operator_modules() -> Iterator[ast.Module]:
    return (module(path) for path in python_files("operator") if not NOT_RECONCILED.match(path))


def constants(tree: ast.Module) -> dict[str, str]:
    """Return the strings that a module assigns to names."""
    return {
        node.targets[0].id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    }


def values(node: ast.expr, names: dict[str, str]) -> list[str]:
    """Return the strings that an expression can have, as far as the module has them."""
    match node:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.Name(id=name):
            return [names[name]] if name in names else []
        case ast.IfExp(body=first, orelse=second):
            return values(first, names) + values(second, names)
        case ast.BoolOp(values=operands):
            return [text for operand in operands for text in values(operand, names)]
    return []


def is_member(node: ast.expr, enum: str) -> bool:
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == enum


@cache
def condition_reasons() -> set[str]:
    """Return the reasons of conditions: those next to a status, those of errors, and those of enumerations."""
    found = {reason.value for enum in (QueryErrorReason, MisconfigurationReason) for reason in enum} | {"InternalError"}
    for tree in operator_modules():
        names = constants(tree)
        for node in ast.walk(tree):
            match node:
                case ast.Tuple(elts=[status, reason, *_]) if is_member(status, "ConditionStatus"):
                    found.update(values(reason, names))
                case ast.Call(func=ast.Name(id="new_condition"), args=[_, _, reason, *_]):
                    found.update(values(reason, names))
                case ast.Call(func=ast.Name(id=name), args=[reason, *_]) if name in ERRORS:
                    found.update(values(reason, names))
    return found - IN_NO_STATUS


@cache
def roll_reasons() -> set[str]:
    """Return the reasons in the status of a PodRoll: the constants of `rolling.reasons`, and those of single steps."""
    found = set(constants(module("operator/memroll/rolling/reasons.py")).values())
    for path in (p for p in python_files("operator") if p.startswith("operator/memroll/rolling/")):
        tree = module(path)
        names = constants(tree)
        keywords = (k for node in ast.walk(tree) if isinstance(node, ast.Call) for k in node.keywords)
        found.update(text for k in keywords if k.arg == "reason" for text in values(k.value, names))
    return found | {TOO_MANY, NAMESPACE_EXCLUDED}


@cache
def event_types() -> set[tuple[str, str]]:
    """Return the pairs of type and reason that the code names side by side."""
    found = set()
    for node in (n for tree in operator_modules() for n in ast.walk(tree)):
        parts = node.elts if isinstance(node, ast.Tuple) else node.args if isinstance(node, ast.Call) else []
        types = [p.attr for p in parts if is_member(p, "EventType")]
        reasons = [p.attr for p in parts if is_member(p, "EventReason")]
        found |= {(EventReason[r].value, EventType[t].value) for r in reasons for t in types}
    return found


def test_the_readers_of_the_code_find_reasons():
    assert {"Watching", "TargetNotFound", "Forbidden", "ServerError", "BudgetTooSmall"} <= condition_reasons()
    assert {"PodGone", "Rolled", "Restarting", "Releasing"} <= roll_reasons()
    assert len(event_types()) > 15


@pytest.mark.parametrize("collector", list(Metrics().registry._collector_to_names), ids=lambda c: c._name)
def test_a_metric_has_its_type_and_labels(collector):
    name = collector._name + ("_total" if collector._type == "counter" else "")
    assert name in METRICS, "undocumented"
    type_, labels, _ = METRICS[name]
    assert (type_, re.findall(r"`(\w+)`", labels)) == (collector._type, list(collector._labelnames))


def test_no_metric_is_documented_that_does_not_exist():
    existing = {name for names in Metrics().registry._collector_to_names.values() for name in names}
    assert [name for name in METRICS if name not in existing] == []


def test_a_query_of_the_metrics_page_is_valid(tmp_path):
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("there is no promtool on the PATH")
    page = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    queries = re.findall(r"^\| [^|]*\? \| `([^`]+)` \|$", page, re.MULTILINE)
    assert len(queries) > 5
    rules = "".join(f"  - {{record: 'a:b', labels: {{n: '{n}'}}, expr: '{q}'}}\n" for n, q in enumerate(queries))
    (tmp_path / "rules.yaml").write_text(f"groups:\n- name: page\n  rules:\n{rules}", encoding="utf-8")
    done = subprocess.run(
        [promtool, "check", "rules", "rules.yaml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("reason", EventReason)
def test_an_event_has_its_type_and_objects(reason):
    assert reason.value in EVENTS, "undocumented"
    type_, objects, meaning, step = EVENTS[reason.value]
    assert type_ in {t.value for t in EventType}
    assert set(objects.split(", ")) <= OBJECTS
    assert meaning
    assert step


@pytest.mark.parametrize(("reason", "type_"), sorted(event_types()))
def test_an_event_has_the_type_that_the_code_names(reason, type_):
    assert EVENTS[reason][0] == type_


@pytest.mark.parametrize("name", sorted({t.value for t in ConditionType} | condition_reasons() | roll_reasons()))
def test_a_condition_or_reason_is_documented(name):
    assert name in CONDITIONS
