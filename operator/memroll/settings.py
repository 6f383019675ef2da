"""Settings of the operator process: flags, environment and a file, read once by the command line, and frozen.

A flag is used before a variable, a variable before the file, and the file before the default. None of the settings is a
secret: credentials are in files that the connections file names.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from memroll.yaml_files import YamlFileError, read_document

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "MEMROLL_"
FILE_VARIABLE = "MEMROLL_SETTINGS_FILE"
"""Environment variable with the path of the settings file."""
DURATION_PATTERN = r"^([0-9]{1,5}(h|m|s))+$"
MAX_SHOWN_CHARS = 100
"""Maximum length of a rejected value in a message, in characters; chosen by hand."""


class SettingsError(ValueError):
    """Invalid setting; the message names it, its value and what is allowed."""


def _split_names(value: object) -> object:
    """Return names that are separated by commas as a tuple."""
    return tuple(name.strip() for name in value.split(",") if name.strip()) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split_names)]
"""Names, as a list or separated by commas."""


class Settings(BaseSettings):
    """Settings of the operator process. docs/settings.md has the flag, the variable and the key of each field."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", env_prefix=PREFIX)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the signature of pydantic-settings
        init_settings: PydanticBaseSettingsSource,
        *_: PydanticBaseSettingsSource,
        **__: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read nothing on construction: `load` reads the sources, and records the origin of each value."""
        return (init_settings,)

    namespace: str = Field(default="memroll-system", description="Namespace of memroll's own pods and of its Lease.")
    identity: str = Field(default="memroll", description="Name of this process in the Lease: its pod's name.")
    watch_namespaces: Names = Field(default=(), description="Namespaces to watch; empty: all.")
    excluded_namespaces: Names = Field(
        default=("kube-system", "kube-public", "kube-node-lease"),
        description="Namespaces in which memroll never acts, besides its own.",
    )
    connections_file: str = Field(
        default="/etc/memroll/connections.yaml", description="File with the connections to Prometheus."
    )
    allow_acting: bool = Field(default=True, description="True if memroll has the permission to evict pods.")
    allow_surge: bool = Field(default=True, description="True if memroll has the permission to patch pods.")
    allow_restart: bool = Field(default=False, description="True if memroll has the permission to patch workloads.")
    allow_logs: bool = Field(default=True, description="True if memroll has the permission to read logs.")
    allow_evidence_http: bool = Field(default=True, description="True if memroll may fetch memory reports from pods.")
    allow_nodes: bool = Field(default=False, description="True if the allocatable memory of nodes counts as a limit.")
    http_host: str = Field(default="", description="Address of `/metrics` and of the probes; empty: all addresses.")
    http_port: int = Field(default=8080, ge=1, le=65535, description="Port of `/metrics` and of the probes.")
    lease_name: str = Field(default="memroll", description="Name of the Lease of the leader.")
    lease_seconds: float = Field(
        default=15.0, ge=2.0, description="Time in seconds after which another process takes over the Lease."
    )
    max_policies_at_once: int = Field(
        default=4, ge=1, le=64, description="Policies that are reconciled at once for each connection."
    )
    max_rolls_per_hour: int = Field(default=30, ge=0, le=10_000, description="Rate limit of all policies together.")
    max_namespace_share: float = Field(
        default=0.5, gt=0, le=100, description="Maximum ratio of a namespace's watched pods to roll in an hour."
    )
    namespace_quota: str = Field(
        default="50%",
        pattern="^(100|[1-9][0-9]?)%$",
        description="Part of `max_rolls_per_hour` that a namespace may use while a pod of another one is due.",
    )
    min_interval: str = Field(default="30s", pattern=DURATION_PATTERN, description="Minimum of `spec.interval`.")
    max_window: str = Field(default="48h", pattern=DURATION_PATTERN, description="Maximum of `spec.growth.window`.")
    pods_per_policy: int = Field(default=5000, ge=1, le=100_000, description="Maximum number of pods of a policy.")
    policies_per_namespace: int = Field(
        default=50, ge=1, le=10_000, description="Maximum number of policies of a namespace."
    )
    manual_rolls_per_hour: int = Field(
        default=20, ge=0, le=100_000, description="PodRolls by hand that may begin in a namespace within an hour."
    )
    log_format: str = Field(default="json", pattern="^(json|text)$", description="Format of the log: json or text.")
    log_level: str = Field(
        default="INFO",
        pattern="^(DEBUG|INFO|WARNING|ERROR)$",
        description="Least severe level that is logged: DEBUG, INFO, WARNING or ERROR.",
    )


@dataclass(frozen=True, slots=True)
class LoadedSettings:
    """Settings, and where each value came from."""

    settings: Settings
    origins: Mapping[str, str] = field(default_factory=dict)
    """Flag, variable, or key of the file, by field; nothing for a default."""

    def changes(self) -> dict[str, str]:
        """Return the values that are no defaults, each with its origin, as text."""
        return {name: f"{getattr(self.settings, name)!r} ({origin})" for name, origin in self.origins.items()}


class _Environment(EnvSettingsSource):
    """Variables of a given environment; blank ones are not set."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        super().__init__(Settings)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return {name.lower(): text for name, text in self._environment.items() if text.strip()}


def load(environment: Mapping[str, str], flags: Mapping[str, str] | None = None) -> LoadedSettings:
    """Read all sources; raise SettingsError for the first invalid value."""
    path = (flags or {}).get("settings_file") or environment.get(FILE_VARIABLE)
    sources = (
        (f"{path}: {{camel}}", {} if not path else read_file(Path(path))),
        ("{variable}", _Environment(environment)()),
        ("{flag}", {name: text for name, text in (flags or {}).items() if name in Settings.model_fields}),
    )
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for template, found in sources:
        values |= found
        origins |= {name: _origin(template, name) for name in found}
    try:
        return LoadedSettings(Settings(**values), origins)
    except ValidationError as error:
        raise SettingsError(_describe(error, origins)) from None


def _origin(template: str, name: str) -> str:
    flag = f"--{name.replace('_', '-')}"
    return template.replace("{camel}", to_camel(name)).replace("{variable}", variable(name)).replace("{flag}", flag)


def variable(name: str) -> str:
    """Return the name of a field's variable."""
    return f"{PREFIX}{name.upper()}"


def read_file(path: Path) -> dict[str, object]:
    """Read the settings file: YAML with a key such as `maxRollsPerHour` for each setting."""
    try:
        content = read_document(path)
    except YamlFileError as error:
        raise SettingsError(str(error)) from error
    if not isinstance(content, dict):
        raise SettingsError(f"{path}: must have a line such as maxRollsPerHour: 30 for each setting")
    fields = {to_camel(name): name for name in Settings.model_fields}
    for key in content:
        if key not in fields:
            similar = get_close_matches(str(key), fields, 1)
            raise SettingsError(
                f"{path}: no such setting: {str(key)[:64]!r}{f'. Did you mean {similar[0]!r}?' if similar else ''}"
            )
    return {fields[key]: value for key, value in content.items()}


def _describe(error: ValidationError, origins: Mapping[str, str]) -> str:
    details = error.errors(include_url=False, include_context=False)
    found = (
        (origins.get(str(d["loc"][0]), d["loc"][0]), repr(d["input"])[:MAX_SHOWN_CHARS], d["msg"]) for d in details
    )
    return "; ".join(f"{origin}={value}: {text}" for origin, value, text in found)


def from_environment(environment: Mapping[str, str]) -> Settings:
    """Return the settings of an environment, and of the file that it names."""
    return load(environment).settings
