"""Render a template with values: the one place where texts become HTML. Called by the two reports.

Every text is escaped, and loses its control and direction characters, unless it is markup of the templates themselves.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from memroll import __version__
from memroll.rendering import EMPTY_CELL, printable

MIN_NAME_CHARS = 16
"""Minimum length in characters of a name that may break after a separator; chosen by hand."""
_AFTER_SEPARATOR = re.compile(r"(?<=[/_@=])(?=[^/_@=])|(?<=[a-z][.:])(?=[a-z])", re.IGNORECASE)


def render(name: str, **values: Any) -> str:
    """Return the page of a template of this package."""
    return _environment().get_template(name).render(version=__version__, **values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("memroll.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_clean,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = breakable
    environment.globals["empty"] = EMPTY_CELL
    return environment


def _clean(value: object) -> object:
    """Return a text without control and direction characters; any other value unchanged."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def breakable(name: str) -> Markup:
    """Return a name that breaks after its separators only, if it is long."""
    parts = [escape(printable(part)) for part in _AFTER_SEPARATOR.split(name)]
    return Markup("<wbr>" if len(name) >= MIN_NAME_CHARS else "").join(parts)  # noqa: S704 - every part is escaped
