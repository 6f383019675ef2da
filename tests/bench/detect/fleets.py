"""Fleets of replicas on one clock, labelled as harmless or leaking."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from tests.bench.detect import curves
from tests.bench.detect.noise import NoiseParameters, draw_noise_parameters, sample_noise
from tests.bench.detect.trace import LIMIT_BYTES, Trace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.random import Generator
    from numpy.typing import NDArray

    Curve = NDArray[np.float64]

HOURS = 96
ROOMY = (0.3, 0.74)
TIGHT = (0.80, 0.97)

HARMLESS = (
    "daily", "shift", "ramp", "weekend", "autoscaling", "rolling", "cache", "jvm", "arenas", "page-cache",
    "batch", "walk", "high-water",
)  # fmt: skip
LEAKING = ("alone", "all", "one-sick", "by-load", "revision", "restarts")
MIN_RESTART_MIN = 120
MAX_STEP = 0.04
"""Maximum ratio of a single step of a leak to the limit."""
LEAK_SHAPES = ("steady", "stairs", "irregular", "accelerating", "slowing")


@dataclass(slots=True)
class _Pod:
    start_min: int
    end_min: int
    level: Curve = field(default_factory=lambda: np.empty(0))
    """Ratio of the limit in each minute of the pod."""
    extra: Curve | None = None
    """Page cache, which is part of the working set only."""
    onset_min: float | None = None


def harmless(kind: str, rng: Generator, *, tight: bool, hours: int = HOURS) -> list[Trace]:
    """Build one harmless fleet whose highest pod peaks in the band of `tight`."""
    total = hours * 60
    clock = np.arange(total, dtype=float)
    load = _load(kind, rng, clock)
    pods = _pods(kind, rng, total, load)
    noise_parameters = draw_noise_parameters(rng)
    weights = rng.uniform(0.4, 0.9), rng.uniform(0.2, 0.6)
    for pod in pods:
        pod.level = _harmless_level(kind, rng, pod, load, weights)
    _scale(pods, rng, TIGHT if tight else ROOMY, noise_parameters, kind)
    return list(_traces(f"{kind}-{'tight' if tight else 'roomy'}", rng, pods, load))


def _load(kind: str, rng: Generator, clock: Curve) -> Curve:
    """Return the workload's load over the clock, 0 to 1."""
    phase, sharp = rng.uniform(0, 1440), rng.uniform(0.7, 2.5)
    base = 0.5 + 0.1 * curves.daily(clock, phase, 1.0)
    match kind:
        case "daily" | "autoscaling" | "all-daily":
            day_by_day = np.repeat(rng.uniform(0.85, 1.1, 8), 1440)[: clock.size]
            return np.asarray(curves.daily(clock, phase, sharp) * _smooth(day_by_day, 240))
        case "weekend":
            return curves.weekend(clock, phase, sharp, rng.uniform(0.5, 2.5) * 1440)
        case "shift":
            start = rng.uniform(0.15, 0.8) * clock.size
            return 0.35 + 0.65 * curves.ramp(clock, start, rng.uniform(10, 90))
        case "ramp":
            start = rng.uniform(0.05, 0.8) * clock.size
            return 0.3 + 0.7 * curves.ramp(clock, start, rng.uniform(60, 420))
        case "batch":
            every = rng.uniform(4, 24) * 60
            on = ((clock + rng.uniform(0, every)) % every) < rng.uniform(20, 120)
            return _smooth(0.2 + 0.8 * on.astype(np.float64), 8)
        case _:
            return np.asarray(base)


def _smooth(curve: Curve, width: int) -> Curve:
    padded = np.pad(np.asarray(curve, dtype=float), width, mode="edge")
    return np.convolve(padded, np.ones(width) / width, mode="same")[width:-width]


def _pods(kind: str, rng: Generator, total: int, load: Curve) -> list[_Pod]:
    """Return the pods of a fleet with their starts and ends, in minutes."""
    replicas = int(rng.integers(3, 11))
    if kind == "rolling" or (kind in ("cache", "jvm", "arenas") and rng.random() < 0.3):
        return _rolled(rng, total, replicas)
    if kind == "autoscaling":
        return _scaled(rng, total, load, replicas)
    ages = rng.random() < 0.5
    starts = [int(rng.uniform(0, 0.5) * total) if ages and i else 0 for i in range(replicas)]
    return [_Pod(s, total) for s in starts]


def _rolled(rng: Generator, total: int, replicas: int) -> list[_Pod]:
    """Return pods with a rollout every day or so, which replaces them one after another."""
    cuts = [0, *sorted(rng.uniform(0.15, 0.95, int(rng.integers(1, 5))) * total), total]
    pods = []
    for i in range(replicas):
        edges = [int(c + i * rng.uniform(1, 4)) if 0 < c < total else int(c) for c in cuts]
        pods += [_Pod(a, b) for a, b in pairwise(edges) if b - a > 30]
    return pods


def _scaled(rng: Generator, total: int, load: Curve, replicas: int) -> list[_Pod]:
    """Return pods of an autoscaler that adds pods by load and removes the youngest."""
    wanted = np.clip(np.ceil(_smooth(load, 15) * replicas), 2, None).astype(int)
    pods: list[_Pod] = []
    running: list[_Pod] = []
    for minute in range(0, total, 5):
        while len(running) < wanted[minute]:
            running.append(_Pod(minute, total))
            pods.append(running[-1])
        while len(running) > wanted[minute] and rng.random() < 0.2:
            running.pop().end_min = minute
    return [p for p in pods if p.end_min - p.start_min > 30]


def _harmless_level(kind: str, rng: Generator, pod: _Pod, load: Curve, weights: tuple[float, float]) -> Curve:
    """Return a pod's level without noise, in arbitrary units, to be scaled later."""
    minutes = pod.end_min - pod.start_min
    age = np.arange(minutes, dtype=float)
    mine = load[pod.start_min : pod.end_min]
    by_load, own = weights
    start = 0.15 * curves.warm_up(age, rng.uniform(2, 15))
    if kind == "autoscaling":
        smooth = _smooth(mine, 20)
        served = smooth / np.clip(smooth * 1.3, 0.4, None)
        return np.asarray(0.4 + start + by_load * served + 0.2 * curves.warm_up(age, rng.uniform(20, 120)))
    base = 0.4 + start + by_load * _smooth(mine, int(rng.uniform(2, 30)))
    if kind == "page-cache":
        pod.extra = own * 2.0 * curves.cache_fill(age, rng.uniform(4, 30) * 60)
        return base * 0.6
    if kind not in OWN:
        return base
    ratio, times, curve = OWN[kind]
    return np.asarray(ratio * base + times * own * curve(rng, age))


OWN: dict[str, tuple[float, float, Callable[[Generator, Curve], Curve]]] = {
    "rolling": (1.0, 1.0, lambda rng, age: curves.warm_up(age, rng.uniform(60, 300))),
    "cache": (0.7, 1.5, lambda rng, age: curves.cache_fill(age, rng.uniform(3, 40) * 60)),
    "jvm": (0.5, 1.5, lambda rng, age: curves.jvm(rng, age, rng.uniform(2, 15) * 60, int(rng.integers(5, 30)))),
    "arenas": (0.6, 1.5, lambda rng, age: curves.arenas(rng, age, int(rng.integers(4, 18)), rng.uniform(20, 90))),
    "walk": (1.0, 0.5, lambda rng, age: curves.random_walk(rng, age.size, rng.uniform(0.0005, 0.005))),
    "high-water": (0.7, 1.0, lambda rng, age: curves.high_water(rng, age, int(rng.integers(1, 4)))),
}
"""Own curve of a pod by kind: the ratio of its base that remains, the weight of its own curve, the curve."""


def _scale(
    pods: list[_Pod], rng: Generator, band: tuple[float, float], noise_parameters: NoiseParameters, kind: str
) -> None:
    """Scale a fleet so that its highest pod peaks in the band, noise included."""
    for pod in pods:
        pod.level = pod.level * rng.uniform(0.95, 1.0)
    tops = [float((p.level + (0 if p.extra is None else p.extra)).max()) for p in pods]
    peak = float(rng.uniform(*band))
    factor = 0.95 * peak / max(tops)
    for pod in pods:
        noise = sample_noise(rng, pod.level.size, noise_parameters)
        pod.level = pod.level * factor + noise * min(1.0, peak)
        if pod.extra is not None:
            pod.extra = pod.extra * factor
    top = max(float((p.level + (0 if p.extra is None else p.extra)).max()) for p in pods)
    for pod in pods:
        pod.level = pod.level * peak / top
        if pod.extra is not None:
            pod.extra = pod.extra * peak / top


@dataclass(frozen=True, slots=True)
class _Leak:
    kind: str
    shape: str
    base: float
    rate: float
    """Ratio of the limit per minute."""
    onset_min: float
    noise_parameters: NoiseParameters


def leaking(kind: str, rng: Generator, *, hours: int = HOURS) -> list[Trace]:
    """Build one fleet with at least one pod that leaks until it reaches its limit."""
    total = hours * 60
    clock = np.arange(total, dtype=float)
    load = _load("daily" if kind == "by-load" or rng.random() < 0.3 else "steady", rng, clock)
    replicas = 1 if kind == "alone" else int(rng.integers(3, 11))
    pods = _rolled(rng, total, replicas) if kind == "revision" else [_Pod(0, total) for _ in range(replicas)]
    if kind in ("all", "by-load") and rng.random() < 0.5:
        pods = [_Pod(int(rng.uniform(0, 0.4) * total) if i else 0, total) for i in range(replicas)]
    revision_min = float(np.median([p.start_min for p in pods if p.start_min] or [0])) if kind == "revision" else 0.0
    leak = _Leak(
        kind,
        str(rng.choice(LEAK_SHAPES)),
        base=float(rng.uniform(0.15, 0.5)),
        rate=float(np.exp(rng.uniform(np.log(7), np.log(400)))) * 2**20 / LIMIT_BYTES / 60,
        onset_min=float(rng.uniform(0, 0.4) * total) if rng.random() < 0.4 else 0.0,
        noise_parameters=draw_noise_parameters(rng),
    )
    out: list[_Pod] = []
    for i, pod in enumerate(pods):
        leaks = {"one-sick": i == 0, "revision": pod.start_min >= revision_min - 60}.get(kind, True)
        rate = leak.rate * rng.uniform(0.8, 1.2)
        out += _leaky(rng, pod, load, replace(leak, rate=rate if leaks else 0.0))
    return list(_traces(f"leak-{kind}", rng, out, load))


def _leaky(rng: Generator, pod: _Pod, load: Curve, leak: _Leak) -> list[_Pod]:
    """Compute the level of a pod that may leak, and of the instances after its OOM kills."""
    minutes = pod.end_min - pod.start_min
    age = np.arange(minutes, dtype=float)
    mine = load[pod.start_min : pod.end_min]
    began = max(0.0, leak.onset_min - pod.start_min)
    level = leak.base * (0.6 + 0.1 * curves.warm_up(age, rng.uniform(2, 30)) + 0.3 * _smooth(mine, 15))
    grown = curves.leak(rng, age - began, leak.shape, MAX_STEP / leak.rate if leak.rate else 1.0)
    if leak.kind == "by-load":
        grown = np.cumsum((age >= began) * mine / max(0.05, float(mine.mean())))
    pod.level = level + leak.rate * grown + sample_noise(rng, minutes, leak.noise_parameters)
    pod.onset_min = began if leak.rate else None
    at_limit = np.flatnonzero(pod.level >= 1.0)
    if at_limit.size == 0:
        return [pod]
    end = int(at_limit[0]) + 1
    first = _Pod(pod.start_min, pod.start_min + end, pod.level[:end], None, pod.onset_min)
    if leak.kind != "restarts" or pod.end_min - first.end_min < MIN_RESTART_MIN or not leak.rate:
        return [first]
    again = _Pod(first.end_min + 1, pod.end_min)
    return [first, *_leaky(rng, again, load, replace(leak, onset_min=0.0))]


def _traces(kind: str, rng: Generator, pods: list[_Pod], load: Curve) -> Iterator[Trace]:
    """Yield a trace for each pod, with a sample a minute; a quarter of the fleets have gaps."""
    workload = f"{kind}-{int(rng.integers(2**31))}"
    has_gaps = rng.random() < 0.25
    with_load = rng.random() < 0.5
    for i, pod in enumerate(pods):
        keep = np.ones(pod.level.size, dtype=bool)
        if has_gaps:
            for at in rng.integers(0, pod.level.size, max(1, pod.level.size // 700)):
                keep[at : at + int(rng.integers(2, 40))] = False
            keep[0] = keep[-1] = True
        minutes = np.flatnonzero(keep)
        level = np.clip(pod.level, 0.01, 1.0)
        extra = np.zeros(level.size) if pod.extra is None else pod.extra
        oom = float((pod.start_min + level.size - 1) * 60) if pod.level[-1] >= 1.0 else None
        mine = load[pod.start_min : pod.end_min][: level.size] * rng.uniform(0.9, 1.1)
        yield Trace(
            name=f"{workload}-{i}",
            workload=workload,
            kind=kind,
            leaks=pod.onset_min is not None,
            t_s=np.asarray((pod.start_min + minutes) * 60.0, dtype=np.float64),
            rss=np.round(level[minutes] * LIMIT_BYTES),
            working_set=np.round(np.minimum(level + extra, 1.0)[minutes] * LIMIT_BYTES),
            load=mine[minutes] if with_load else np.empty(0),
            onset_s=None if pod.onset_min is None else (pod.start_min + pod.onset_min) * 60.0,
            oom_s=oom,
        )
