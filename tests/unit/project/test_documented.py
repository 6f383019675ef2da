"""Every gate, reason, check and number of the operator has a docstring that a stranger understands."""

from __future__ import annotations

import ast
import inspect
import re

import pytest

from memroll.detection.leak_checks import CONTEXT_CHECKS, HISTORY_CHECKS
from memroll.detection.reasons import VerdictReason
from memroll.detection.shape_checks import SHAPE_CHECKS
from memroll.planning.gate_result import Gate
from memroll.planning.gates import GATES
from memroll.reporting.events import EventReason
from tests import texts

MIN_WORDS = 4
ENUMS = {
    "operator/memroll/planning/gate_result.py": Gate,
    "operator/memroll/detection/reasons.py": VerdictReason,
    "operator/memroll/reporting/events.py": EventReason,
}
CONSTANT = re.compile(r"_?[A-Z][A-Z0-9_]*")


def is_documented(docstring: str | None) -> bool:
    return len((docstring or "").split()) >= MIN_WORDS


def assignments(body: list[ast.stmt]):
    """Yield the name, value and docstring of each assignment to one name."""
    for statement, after in zip(body, [*body[1:], None], strict=True):
        target = statement.targets[0] if isinstance(statement, ast.Assign) else getattr(statement, "target", None)
        value = getattr(statement, "value", None)
        if isinstance(target, ast.Name) and value is not None:
            literal = after.value if isinstance(after, ast.Expr) else None
            yield target.id, value, str(literal.value) if isinstance(literal, ast.Constant) else ""


def is_number(node: ast.expr) -> bool:
    match node:
        case ast.Constant(value=bool()):
            return False
        case ast.Constant(value=int() | float()):
            return True
        case ast.Call(func=ast.Name(id="timedelta")):
            return True
        case ast.UnaryOp(operand=operand):
            return is_number(operand)
        case ast.BinOp(left=left, right=right):
            return is_number(left) and is_number(right)
        case ast.Tuple(elts=[_, *_] as elements):
            return all(is_number(e) for e in elements)
    return False


def undocumented_numbers() -> list[str]:
    return [
        f"{path}::{name}"
        for path in texts.python_files("operator")
        for name, value, docstring in assignments(texts.module(path).body)
        if CONSTANT.fullmatch(name) and is_number(value) and not is_documented(docstring)
    ]


@pytest.mark.parametrize("path", ENUMS)
def test_every_gate_and_reason_has_a_docstring(path):
    found = {
        name: docstring
        for node in texts.module(path).body
        if isinstance(node, ast.ClassDef) and node.name == ENUMS[path].__name__
        for name, _, docstring in assignments(node.body)
    }
    assert sorted(found) == sorted(ENUMS[path].__members__)
    assert [name for name, docstring in found.items() if not is_documented(docstring)] == []


def test_every_gate_but_one_is_a_function_with_a_docstring():
    assert set(Gate) - set(GATES) == {Gate.POD_ROLL_NOT_CREATED}, "the API server finds that one out"
    assert [gate for gate, function in GATES.items() if not is_documented(inspect.getdoc(function))] == []


def test_gates_are_listed_in_the_order_of_their_evaluation():
    assert list(GATES) == [gate for gate in Gate if gate in GATES]


def test_every_statistic_and_threshold_of_a_check_has_a_docstring():
    functions = {f for c in (*SHAPE_CHECKS, *CONTEXT_CHECKS, *HISTORY_CHECKS) for f in (c.statistic, c.threshold)}
    named = [f for f in functions if f.__name__ != "<lambda>"]
    assert named
    assert [f.__name__ for f in named if not is_documented(inspect.getdoc(f))] == []


def test_every_verdict_reason_is_used_by_detection():
    sources = [(texts.ROOT / path).read_text() for path in texts.python_files("operator/memroll/detection")]
    used = set(re.findall(r"VerdictReason\.([A-Z_]+)", "".join(sources)))
    assert set(VerdictReason.__members__) - used == set()


def test_every_number_has_a_docstring():
    assert undocumented_numbers() == []
