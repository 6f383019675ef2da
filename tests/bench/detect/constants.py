"""Numeric constants of the detector, and how one of them is given another value in every module that imports it."""

from __future__ import annotations

import ast
import importlib
import sys
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import memroll.detection

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = "memroll.detection"
FOLDER = Path(next(iter(memroll.detection.__path__)))
FACTORS = (0.8, 1.25)
"""Factors of a constant; a small integer is changed by one instead."""
SMALL = 10
"""Integers up to this are changed by one."""
HIGH_RATIO = 0.75
"""Ratio from which on the distance to 1 has the factors: a quantile of 0.95 becomes 0.94 or 0.96."""
OUTSIDE = {
    "assess": "how the operator reads samples",
    "batches": "how the operator reads samples",
    "samples": "how the operator reads samples",
    "pod_limit": "limits that containers share",
}
"""Modules that a replay of traces does not run, with their subject."""
FIXED = {
    "DAY_S": "the length of a day",
    "HOUR_S": "the length of an hour",
    "MAD_TO_SIGMA": "a property of the normal distribution",
    "MIN_SLOPE_BYTES_PER_S": "avoids a division by zero",
    "FIRST_SCRAPES_S": "the text of a verdict",
}
"""Constants that are not choices, with what they are."""


@dataclass(frozen=True, slots=True)
class Constant:
    """Number of the detector: a constant, or a part of one that is a tuple or has fields."""

    module: str
    name: str
    path: tuple[int | str, ...]
    """Indexes and fields that lead from the constant to the number; empty if it is the constant."""
    value: float

    @property
    def title(self) -> str:
        return self.name + "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in self.path)

    def others(self) -> tuple[float, float]:
        """Return a lower and a higher value."""
        if isinstance(self.value, int) and self.value <= SMALL:
            return max(1, self.value - 1), self.value + 1
        if HIGH_RATIO <= self.value < 1:
            low, high = (1 - (1 - self.value) * f for f in reversed(FACTORS))
        else:
            low, high = (self.value * f for f in FACTORS)
        return (round(low), round(high)) if isinstance(self.value, int) else (low, high)


@cache
def found() -> tuple[list[Constant], dict[str, str]]:
    """Return the constants that can be varied, and why others are not, by title."""
    varied, left = [], {}
    for module, name, value in _assignments():
        for path, number in _numbers(value):
            constant = Constant(module, name, path, number)
            reason = OUTSIDE.get(module) or FIXED.get(name)
            if reason is None and name in _used_at_import(module) | _imported_by_default(module, name):
                reason = "used when modules are imported"
            if reason is None:
                varied.append(constant)
            else:
                left[f"{module}.{constant.title}"] = reason
    return varied, left


def _assignments() -> Iterator[tuple[str, str, Any]]:
    for file in sorted(FOLDER.glob("*.py")):
        module = importlib.import_module(f"{PACKAGE}.{file.stem}") if file.stem != "__init__" else None
        for node in ast.parse(file.read_text(encoding="utf-8")).body if module else ():
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            name = getattr(targets[0], "id", "")
            if isinstance(node, ast.Assign | ast.AnnAssign) and name.isupper():
                yield file.stem, name, getattr(module, name)


def _numbers(value: object, path: tuple[int | str, ...] = ()) -> Iterator[tuple[tuple[int | str, ...], float]]:
    if isinstance(value, int | float) and not isinstance(value, bool):
        yield path, value
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from _numbers(item, (*path, index))
    elif is_dataclass(value) and not isinstance(value, type) and path:
        for part in fields(value):
            yield from _numbers(getattr(value, part.name), (*path, part.name))


@cache
def _tree(module: str) -> ast.Module:
    return ast.parse((FOLDER / f"{module}.py").read_text(encoding="utf-8"))


@cache
def _used_at_import(module: str) -> set[str]:
    """Return the names that a module reads outside of the bodies of functions, where a new value has no effect."""
    names: set[str] = set()
    for node in _tree(module).body:
        names |= _names_outside_functions(node)
    return names


def _names_outside_functions(node: ast.AST) -> set[str]:
    if isinstance(node, ast.Lambda):
        return set()
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        defaults = [*node.args.defaults, *(d for d in node.args.kw_defaults if d is not None)]
        return {n.id for d in defaults for n in ast.walk(d) if isinstance(n, ast.Name)}
    own = {node.id} if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) else set()
    return own.union(*(_names_outside_functions(child) for child in ast.iter_child_nodes(node)))


def _imported_by_default(module: str, name: str) -> set[str]:
    """Return the name if another module that imports it reads it when it is imported."""
    others = [m for m in _importers(module, name) if name in _used_at_import(m)]
    return {name} if others else set()


@cache
def _importers(module: str, name: str) -> list[str]:
    """Return the modules of the detector that import a name from a module."""
    return [
        file.stem
        for file in sorted(FOLDER.glob("*.py"))
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module == f"{PACKAGE}.{module}"
        if any(alias.name == name and alias.asname is None for alias in node.names)
    ]


@contextmanager
def varied(constant: Constant, value: float) -> Iterator[None]:
    """Give a constant this value in its module and in all that import it."""
    modules = [sys.modules[f"{PACKAGE}.{m}"] for m in (constant.module, *_importers(constant.module, constant.name))]
    before = getattr(modules[0], constant.name)
    _assign(modules, constant.name, _with(before, constant.path, value))
    try:
        yield
    finally:
        _assign(modules, constant.name, before)


def _assign(modules: list[Any], name: str, value: object) -> None:
    for module in modules:
        setattr(module, name, value)
    for file in FOLDER.glob("*.py"):
        for function in vars(sys.modules.get(f"{PACKAGE}.{file.stem}", object)).values():
            if hasattr(function, "cache_clear"):
                function.cache_clear()


def _with(whole: Any, path: tuple[int | str, ...], value: float) -> Any:
    if not path:
        return value
    first, *rest = path
    if isinstance(first, int):
        return (*whole[:first], _with(whole[first], tuple(rest), value), *whole[first + 1 :])
    return replace(whole, **{first: _with(getattr(whole, first), tuple(rest), value)})
