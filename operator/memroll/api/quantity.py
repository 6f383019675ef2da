"""Durations, byte quantities, shares and growth rates, as they stand in YAML.

One grammar each, the same in the CRD's schema (`pattern`) and here, so what the API server lets through is
what we can read. Days are written as hours ("48h"): the grammar is a subset of Go's durations, which the
CRD's own CEL rules can compute with.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

DURATION_PATTERN = r"^([0-9]{1,5}(h|m|s))+$"
BYTES_PATTERN = r"^[0-9]{1,12}(\.[0-9]{1,3})?(Ki|Mi|Gi|Ti|k|M|G|T)?$"
SHARE_PATTERN = r"^(100|[1-9]?[0-9](\.[0-9]{1,3})?)%$"

_SECONDS_MATTER_BELOW = 120
_MINUTES_MATTER_BELOW = 36_000
_UNIT_SECONDS = {"h": 3600, "m": 60, "s": 1}
_UNIT_BYTES = {
    "": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12,
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40,
}  # fmt: skip


def parse_duration(text: object) -> timedelta:
    """Read "6h", "1h30m" or "45s"."""
    if isinstance(text, timedelta):
        return text
    if not isinstance(text, str) or not re.fullmatch(DURATION_PATTERN, text, re.ASCII):
        raise ValueError(f"{text!r} is not a duration: write hours, minutes and seconds such as 6h, 1h30m or 45s")
    parts = re.findall(r"([0-9]+)([hms])", text)
    return timedelta(seconds=sum(int(number) * _UNIT_SECONDS[unit] for number, unit in parts))


def format_duration(value: timedelta) -> str:
    """Write whole seconds as "1h30m"; the inverse of `parse_duration`."""
    rest = int(value.total_seconds())
    written = ""
    for unit, seconds in _UNIT_SECONDS.items():
        count, rest = divmod(rest, seconds)
        written += f"{count}{unit}" if count else ""
    return written or "0s"


def about(seconds: float) -> str:
    """Round to what a person cares about: 45s, 12m, 3h20m, 26h."""
    if seconds < _SECONDS_MATTER_BELOW:
        return f"{max(seconds, 0):.0f}s"
    step = 60 if seconds < _MINUTES_MATTER_BELOW else 3600
    return format_duration(timedelta(seconds=round(seconds / step) * step))


def mib(count: float) -> str:
    """Write a number of bytes as "104.2 MiB"."""
    return f"{count / 2**20:.1f} MiB"


def parse_bytes(text: object) -> int:
    """Read a byte quantity such as "20Mi", "1.5Gi" or "500M", rounded down to whole bytes."""
    found = re.fullmatch(r"([0-9]{1,12})(?:\.([0-9]{1,3}))?([KMGT]i|[kMGT])?", str(text), re.ASCII)
    if not isinstance(text, str) or not found:
        raise ValueError(f"{text!r} is not a quantity of bytes: write one such as 20Mi, 1.5Gi or 500M")
    whole, fraction, unit = found.groups(default="")
    thousandths = int(whole) * 1000 + int(fraction.ljust(3, "0") or 0)
    return thousandths * _UNIT_BYTES[unit] // 1000


def parse_share(text: object) -> float:
    """Read "95%" as 0.95."""
    if not isinstance(text, str) or not re.fullmatch(SHARE_PATTERN, text, re.ASCII):
        raise ValueError(f"{text!r} is not a share: write a percentage from 0% to 100%, such as 95% or 0.5%")
    return float(text[:-1]) / 100


@dataclass(frozen=True, slots=True)
class GrowthRate:
    """A growth per hour: a share of the container's memory limit, or bytes."""

    text: str
    share: float | None
    bytes_per_hour: int | None

    @classmethod
    def parse(cls, text: object) -> GrowthRate:
        if isinstance(text, GrowthRate):
            return text
        if isinstance(text, str) and text.endswith("%"):
            rate = cls(text, parse_share(text), None)
        else:
            rate = cls(str(text), None, parse_bytes(text))
        if not (rate.share or rate.bytes_per_hour):
            raise ValueError(f"{text!r} is no growth: it must be above zero")
        return rate

    def of(self, limit_bytes: int | None) -> float | None:
        """Bytes per hour for a container with this limit; None when the share has no limit to refer to."""
        if self.bytes_per_hour is not None:
            return float(self.bytes_per_hour)
        assert self.share is not None
        return None if limit_bytes is None else self.share * limit_bytes


@dataclass(frozen=True, slots=True)
class CountOrShare:
    """A count of pods, or a percentage of a workload's replicas (rounded up, at least one)."""

    text: str
    count: int | None
    share: float | None

    @classmethod
    def parse(cls, value: object) -> CountOrShare:
        if isinstance(value, CountOrShare):
            return value
        if isinstance(value, str) and value.endswith("%"):
            return cls(value, None, parse_share(value))
        if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,4}", str(value), re.ASCII) or int(str(value)) < 1:
            raise ValueError(f"{value!r} must be a count of at least 1, or a percentage such as 25%")
        return cls(str(value), int(str(value)), None)

    def of(self, replicas: int) -> int:
        if self.count is not None:
            return self.count
        assert self.share is not None
        return max(1, -int(-self.share * replicas // 1))

    def on_the_wire(self) -> int | str:
        return self.text if self.count is None else self.count


@dataclass(frozen=True, slots=True)
class Lead:
    """How long before the limit a pod is rolled; `None` means Auto."""

    fixed: timedelta | None = None

    @classmethod
    def parse(cls, text: object) -> Lead:
        if isinstance(text, Lead):
            return text
        if text == "Auto":
            return cls()
        try:
            return cls(parse_duration(text))
        except ValueError:
            raise ValueError(f"{text!r} must be Auto, or a duration such as 2h") from None


def _string(pattern: str, max_length: int) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, "maxLength": max_length})


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    _string(DURATION_PATTERN, 32),
]
Share = Annotated[
    float,
    BeforeValidator(lambda value: value if isinstance(value, float) else parse_share(value)),
    PlainSerializer(lambda share: f"{share * 100:g}%", return_type=str),
    _string(SHARE_PATTERN, 16),
]
Growth = Annotated[
    GrowthRate,
    BeforeValidator(GrowthRate.parse),
    PlainSerializer(lambda rate: rate.text, return_type=str),
    _string(f"{SHARE_PATTERN}|{BYTES_PATTERN}", 32),
]
PodCount = Annotated[
    CountOrShare,
    BeforeValidator(CountOrShare.parse),
    PlainSerializer(CountOrShare.on_the_wire, return_type=int | str),
    WithJsonSchema(
        {
            "x-kubernetes-int-or-string": True,
            "x-kubernetes-validations": [
                {
                    "rule": "type(self) == int ? self >= 1 && self <= 9999"
                    " : self.matches('^((100|[1-9][0-9]?)%|[1-9][0-9]{0,3})$')",
                    "message": "must be a count from 1 to 9999, or a percentage from 1% to 100%",
                }
            ],
        }
    ),
]
LeadTime = Annotated[
    Lead,
    BeforeValidator(Lead.parse),
    PlainSerializer(lambda lead: "Auto" if lead.fixed is None else format_duration(lead.fixed), return_type=str),
    _string(r"^(Auto|([0-9]{1,5}(h|m|s))+)$", 32),
]
