"""Durations, byte quantities, percentages and growth rates, as they are written in YAML.

Takes the strings of an object, returns values for computation, and formats values as text for people. Called by the
models and by all code that writes messages.

Each grammar exists once, for the CRD's schema (`pattern`) and for the parser, so that everything that the API server
accepts can be parsed. Days are written as hours ("48h"): the grammar is a subset of Go's durations, which the CRD's own
CEL rules can compute with.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

DURATION_PATTERN = r"^([0-9]{1,5}(h|m|s))+$"
BYTES_PATTERN = r"^[0-9]{1,12}(\.[0-9]{1,3})?(Ki|Mi|Gi|Ti|k|M|G|T)?$"
USAGE_THRESHOLD_PATTERN = r"^(100|[1-9][0-9](\.[0-9]{1,3})?)%$"
PERCENTAGE_PATTERN = r"^(100|[1-9]?[0-9](\.[0-9]{1,3})?)%$"
MAX_BUDGET_ROLLS = 10_000
"""Maximum number of rolls in a budget, chosen by hand."""
MAX_CHARS = 32
"""Maximum length of a duration in characters, as in the CRDs."""
MAX_COUNT = 9999
"""Maximum count of pods, as in the CRDs."""
_BYTES = r"([0-9]{1,12})(?:\.([0-9]{1,3}))?([KMGT]i|[kMGT])?"

_MAX_SHOWN_SECONDS = 120
"""Duration in seconds from which a humanized duration shows no seconds, chosen by hand."""
_MAX_SHOWN_MINUTES_S = 36_000
"""Duration in seconds from which a humanized duration shows no minutes, chosen by hand."""
_MAX_SHOWN_S = 87_600 * 3600
"""Duration in seconds that a humanized duration shows for any longer one, chosen by hand: 10 years."""
_SHOWN_UNITS = (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10))
_UNIT_SECONDS = {"h": 3600, "m": 60, "s": 1}
_UNIT_BYTES = {
    "": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12,
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40,
}  # fmt: skip


def shown(value: object) -> str:
    """Return the beginning of a rejected text for an error message; of any other value its type, whatever its size."""
    return repr(value[: MAX_CHARS + 1]) if isinstance(value, str) else f"a value of type {type(value).__name__}"


def parse_duration(text: object) -> timedelta:
    """Parse "6h", "1h30m" or "45s"."""
    if isinstance(text, timedelta):
        return text
    if not isinstance(text, str) or len(text) > MAX_CHARS or not re.fullmatch(DURATION_PATTERN, text, re.ASCII):
        raise ValueError(f"{shown(text)} is not a duration: write hours, minutes and seconds such as 6h, 1h30m or 45s")
    parts = re.findall(r"([0-9]+)([hms])", text)
    return timedelta(seconds=sum(int(number) * _UNIT_SECONDS[unit] for number, unit in parts))


def format_duration(value: timedelta) -> str:
    """Format whole seconds as "1h30m"; the inverse of `parse_duration`."""
    rest = int(value.total_seconds())
    text = ""
    for unit, seconds in _UNIT_SECONDS.items():
        count, rest = divmod(rest, seconds)
        text += f"{count}{unit}" if count else ""
    return text or "0s"


def humanize_duration(seconds: float) -> str:
    """Round a duration for people: 45s, 12m, 3h20m, 26h."""
    if seconds < _MAX_SHOWN_SECONDS:
        return f"{max(seconds, 0):.0f}s"
    seconds = min(seconds, _MAX_SHOWN_S)
    step = 60 if seconds < _MAX_SHOWN_MINUTES_S else 3600
    return format_duration(timedelta(seconds=round(seconds / step) * step))


def format_mib(count: float) -> str:
    """Format a number of bytes as "104.2 MiB": always in MiB, so that numbers of one message compare easily."""
    return f"{count / 2**20:.1f} MiB"


def format_bytes(count: float) -> str:
    """Format a number of bytes in the largest fitting unit: 3.2 GiB, 41.0 MiB, 1.5 KiB, 12 B."""
    return next((f"{count / size:.1f} {unit}" for unit, size in _SHOWN_UNITS if abs(count) >= size), f"{count:.0f} B")


def format_rate(bytes_per_s: float) -> str:
    """Format a growth rate as "+1.5 MiB per hour"."""
    return f"{bytes_per_s * 3600 / 2**20:+.1f} MiB per hour"


def parse_bytes(text: object) -> int:
    """Parse a byte quantity such as "20Mi", "1.5Gi" or "500M", rounded down to whole bytes."""
    found = isinstance(text, str) and re.fullmatch(_BYTES, text, re.ASCII)
    if not found:
        raise ValueError(f"{shown(text)} is not a quantity of bytes: write one such as 20Mi, 1.5Gi or 500M")
    whole, fraction, unit = found.groups(default="")
    thousandths = int(whole) * 1000 + int(fraction.ljust(3, "0") or 0)
    return thousandths * _UNIT_BYTES[unit] // 1000


def parse_percentage(text: object) -> float:
    """Parse "95%" as the ratio 0.95."""
    if not isinstance(text, str) or not re.fullmatch(PERCENTAGE_PATTERN, text, re.ASCII):
        raise ValueError(f"{shown(text)} is not a percentage: write one from 0% to 100%, such as 95% or 0.5%")
    return float(text[:-1]) / 100


def parse_usage_threshold(text: object) -> float:
    """Parse a percentage from 10% to 100% as a ratio."""
    if not isinstance(text, str) or not re.fullmatch(USAGE_THRESHOLD_PATTERN, text, re.ASCII):
        raise ValueError(f"{shown(text)} is not a percentage from 10% to 100%, such as 95%")
    return parse_percentage(text)


@dataclass(frozen=True, slots=True)
class GrowthRate:
    """Growth per hour: a ratio of the container's memory limit, or bytes."""

    text: str
    ratio: float | None
    bytes_per_hour: int | None

    @classmethod
    def parse(cls, text: object) -> GrowthRate:
        if isinstance(text, GrowthRate):
            return text
        if isinstance(text, str) and text.endswith("%"):
            rate = cls(text, parse_percentage(text), None)
        else:
            count = parse_bytes(text)
            rate = cls(str(text), None, count)
        if not (rate.ratio or rate.bytes_per_hour):
            raise ValueError(f"{shown(text)} is not a growth rate: it must be above zero")
        return rate

    def to_bytes_per_hour(self, limit_bytes: int | None) -> float | None:
        """Return bytes per hour for a container with this limit; None for a ratio of no limit."""
        if self.bytes_per_hour is not None:
            return float(self.bytes_per_hour)
        assert self.ratio is not None
        return None if limit_bytes is None else self.ratio * limit_bytes


@dataclass(frozen=True, slots=True)
class CountOrPercentage:
    """Count of pods, or a percentage of a workload's replicas (rounded up, at least one)."""

    text: str
    count: int | None
    ratio: float | None

    @classmethod
    def parse(cls, value: object) -> CountOrPercentage:
        if isinstance(value, CountOrPercentage):
            return value
        if isinstance(value, str) and value.endswith("%"):
            return cls(value, None, parse_percentage(value))
        count = int(value) if isinstance(value, str) and re.fullmatch(r"[0-9]{1,4}", value, re.ASCII) else value
        if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= MAX_COUNT:
            raise ValueError(f"{shown(value)} must be a count of at least 1, or a percentage such as 25%")
        return cls(str(value), count, None)

    def to_count(self, replicas: int) -> int:
        """Return the number of pods for a workload with this number of replicas."""
        if self.count is not None:
            return self.count
        assert self.ratio is not None
        return max(1, -int(-self.ratio * replicas // 1))

    @classmethod
    def parse_rolls(cls, value: object) -> CountOrPercentage:
        """Parse the rolls of a budget: unlike other counts, it may be zero."""
        is_count = isinstance(value, int) and not isinstance(value, bool)
        if is_count and 0 <= value <= MAX_BUDGET_ROLLS:  # type: ignore[operator] # an int, see above
            return cls(str(value), int(str(value)), None)
        return cls.parse(value)

    def to_json(self) -> int | str:
        return self.text if self.count is None else self.count


@dataclass(frozen=True, slots=True)
class AutoOrDuration:
    """Fixed duration, or `Auto` where `fixed` is None."""

    fixed: timedelta | None = None

    @classmethod
    def parse(cls, text: object) -> AutoOrDuration:
        if isinstance(text, AutoOrDuration):
            return text
        if text == "Auto":
            return cls()
        try:
            return cls(parse_duration(text))
        except ValueError:
            raise ValueError(f"{shown(text)} must be Auto, or a duration such as 2h") from None


def _string(pattern: str, max_length: int) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, "maxLength": max_length})


def _int_or_string(rule: str, message: str) -> WithJsonSchema:
    """Return the schema of a number or a text, with its CEL rule.

    The API server estimates the cost of the rule, and refuses a CRD whose rules cost too much. Before Kubernetes 1.34
    it ignores the maximum length here, so the pattern of a rule in a list must be short.
    """
    validation = {"rule": rule, "message": message}
    return WithJsonSchema(
        {"x-kubernetes-int-or-string": True, "maxLength": 32, "x-kubernetes-validations": [validation]}
    )


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    _string(DURATION_PATTERN, 32),
]
UsageThreshold = Annotated[
    float,
    BeforeValidator(lambda value: value if isinstance(value, float) else parse_usage_threshold(value)),
    PlainSerializer(lambda ratio: f"{ratio * 100:g}%", return_type=str),
    _string(USAGE_THRESHOLD_PATTERN, 16),
]
"""Percentage of a limit from 10% on: a lower one is a typo (0.9% for 90%), and would roll every pod."""
Growth = Annotated[
    GrowthRate,
    BeforeValidator(GrowthRate.parse),
    PlainSerializer(lambda rate: rate.text, return_type=str),
    _string(f"{PERCENTAGE_PATTERN}|{BYTES_PATTERN}", 32),
]
PodCount = Annotated[
    CountOrPercentage,
    BeforeValidator(CountOrPercentage.parse),
    PlainSerializer(CountOrPercentage.to_json, return_type=int | str),
    _int_or_string(
        "type(self) == int ? self >= 1 && self <= 9999 : self.matches('^((100|[1-9][0-9]?)%|[1-9][0-9]{0,3})$')",
        "must be a count from 1 to 9999, or a percentage from 1% to 100%",
    ),
]
RollCount = Annotated[
    CountOrPercentage,
    BeforeValidator(CountOrPercentage.parse_rolls),
    PlainSerializer(CountOrPercentage.to_json, return_type=int | str),
    _int_or_string(
        f"type(self) == int ? self >= 0 && self <= {MAX_BUDGET_ROLLS} : "
        r"self == '100%' || self.matches(r'^\d\d?%$') && !self.startsWith('0')",
        f"must be a count from 0 to {MAX_BUDGET_ROLLS}, or a percentage from 1% to 100%",
    ),
]
LeadTime = Annotated[
    AutoOrDuration,
    BeforeValidator(AutoOrDuration.parse),
    PlainSerializer(lambda lead: "Auto" if lead.fixed is None else format_duration(lead.fixed), return_type=str),
    _string(r"^(Auto|([0-9]{1,5}(h|m|s))+)$", 32),
]
