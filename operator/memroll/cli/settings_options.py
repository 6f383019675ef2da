"""Settings of the operator as options of a command: one flag for each field, and the settings file."""

from __future__ import annotations

import os
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import click

from memroll.errors import TerminalError
from memroll.settings import Settings, SettingsError, load, variable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from memroll.settings import LoadedSettings

F = TypeVar("F", bound="Callable[..., Any]")


def load_settings(environment: Mapping[str, str], flags: Mapping[str, str] | None = None) -> LoadedSettings:
    """Read the settings; raise TerminalError for an invalid one."""
    try:
        return load(environment, flags)
    except SettingsError as error:
        raise TerminalError("SettingsInvalid", str(error)) from error


def settings_options(function: F) -> F:
    """Add a flag for each setting, as the argument `loaded`."""

    @wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - passed on
        flags = {n: kwargs.pop(n) for n in ("settings_file", *Settings.model_fields)}
        given = {name: text for name, text in flags.items() if text is not None}
        return function(*args, loaded=load_settings(os.environ, given), **kwargs)

    options: Any = wrapped
    for name, field in reversed(Settings.model_fields.items()):
        help_text = f"{(field.description or '').replace('`', '')} [{variable(name)}]"
        options = click.option(f"--{name.replace('_', '-')}", name, metavar="VALUE", help=help_text)(options)
    file_option = click.option("--settings-file", metavar="FILE", help="File with settings [MEMROLL_SETTINGS_FILE]")
    found: F = file_option(options)
    return found
