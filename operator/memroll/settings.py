"""Settings of the operator process, read once from the environment by the command line, and frozen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "MEMROLL_"
DURATION_PATTERN = r"^([0-9]{1,5}(h|m|s))+$"


class Settings(BaseModel):
    """Settings of the operator process; each field is read from the variable `MEMROLL_<FIELD>`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    namespace: str = Field(default="memroll-system", description="Namespace of memroll's own pods and of its Lease.")
    identity: str = Field(default="memroll", description="Name of this process in the Lease: its pod's name.")
    watch_namespaces: tuple[str, ...] = Field(default=(), description="Namespaces to watch; empty: all.")
    excluded_namespaces: tuple[str, ...] = Field(default=("kube-system", "kube-public", "kube-node-lease"))
    connections_file: str = Field(default="/etc/memroll/connections.yaml")
    allow_acting: bool = Field(default=True, description="True if memroll has the permission to evict pods.")
    allow_surge: bool = Field(default=True, description="True if memroll has the permission to patch pods.")
    allow_restart: bool = Field(default=False, description="True if memroll has the permission to patch workloads.")
    allow_logs: bool = Field(default=True, description="True if memroll has the permission to read logs.")
    allow_evidence_http: bool = Field(default=True, description="True if memroll may fetch memory reports from pods.")
    allow_nodes: bool = Field(default=False, description="True if the allocatable memory of nodes counts as a limit.")
    http_host: str = Field(default="")
    http_port: int = Field(default=8080, ge=1, le=65535)
    lease_name: str = Field(default="memroll")
    lease_seconds: float = Field(default=15.0, ge=2.0)
    max_policies_at_once: int = Field(default=4, ge=1, le=64, description="For each Prometheus connection.")
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
    pods_per_policy: int = Field(default=5000, ge=1, le=100_000)
    policies_per_namespace: int = Field(default=50, ge=1, le=10_000)
    manual_rolls_per_hour: int = Field(
        default=20, ge=0, le=100_000, description="PodRolls by hand that may begin in a namespace within an hour."
    )
    log_format: str = Field(default="json", pattern="^(json|text)$")
    log_level: str = Field(default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")


def from_environment(environment: Mapping[str, str]) -> Settings:
    """Read the `MEMROLL_*` variables; lists are comma-separated. Raises ValidationError with the field's name."""
    values: dict[str, object] = {}
    for name, field in Settings.model_fields.items():
        raw = environment.get(PREFIX + name.upper())
        if raw is None or not raw.strip():
            continue
        is_list = field.annotation == tuple[str, ...]
        values[name] = tuple(s.strip() for s in raw.split(",") if s.strip()) if is_list else raw
    return Settings.model_validate(values)
