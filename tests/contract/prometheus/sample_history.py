"""Samples with the labels of the kubelet's cAdvisor."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from memroll.clients.prometheus.promql import RSS, WORKING_SET

if TYPE_CHECKING:
    from memroll.detection.series import Series

Samples = list[tuple[float, float]]

T0 = 1_700_000_000
"""Start of the samples: not the start of an hour, which would hide errors at the edges of blocks."""


@dataclass
class SampleHistory:
    """Samples by series, as lines without a time, and their times."""

    families: dict[str, list[tuple[str, float]]] = field(default_factory=dict)

    def add(self, metric: str, labels: dict[str, str], samples: Samples) -> Samples:
        shown = ",".join(f'{k}="{_escaped(v)}"' for k, v in labels.items())
        lines = [(f"{metric}{{{shown}}} {value!r}", time_s) for time_s, value in samples]
        self.families.setdefault(metric, []).extend(lines)
        return samples

    def open_metrics(self) -> str:
        """Return the samples in the OpenMetrics format, with times in seconds, for promtool."""
        blocks = (
            "\n".join([f"# TYPE {name} gauge", *(f"{line} {time_s:.3f}" for line, time_s in lines)])
            for name, lines in self.families.items()
        )
        return "\n".join([*blocks, "# EOF\n"])

    def exposition(self) -> str:
        """Return the samples in Prometheus' text format, with times in milliseconds, for VictoriaMetrics."""
        lines = (line for family in self.families.values() for line in family)
        return "".join(f"{line} {round(time_s * 1000)}\n" for line, time_s in lines)


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def ramp(start_s: float, end_s: float, step_s: float = 15.25, base: float = 1e8) -> Samples:
    count = int((end_s - start_s) / step_s) + 1
    return [(round(start_s + n * step_s, 3), base + 1024 * n) for n in range(count)]


def labels(pod: str, container_id: str, **more: str) -> dict[str, str]:
    name = {"name": container_id} if container_id else {}
    return {"namespace": "ai", "pod": pod, "container": "chat", "job": "kubelet", **name, **more}


def record(past: SampleHistory, pod: str, container_id: str, samples: Samples, **more: str) -> Samples:
    """Record one instance, with a working set a little above its RSS."""
    past.add(WORKING_SET, labels(pod, container_id, **more), [(t, v + 4096) for t, v in samples])
    return past.add(RSS, labels(pod, container_id, **more), samples)


def within(samples: Samples, start_s: float, end_s: float) -> Samples:
    return [(t, v) for t, v in samples if start_s < t <= end_s]


def pairs(series: Series) -> Samples:
    return list(zip(series.times_s.tolist(), series.values.tolist(), strict=True))
