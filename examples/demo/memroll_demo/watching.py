"""What every play has in common: a cluster with memroll on it, told step by step, and then the timeline."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING

from memroll_demo import site, timeline
from memroll_demo.facts import Facts
from memroll_demo.stage import OPERATOR, RELEASE

if TYPE_CHECKING:
    from collections.abc import Callable

    from memroll_demo.site import Site
    from memroll_demo.stage import Stage

IMAGE = "localhost/memroll:demo"
LOOK_S = 2.0
FRAME_S = 15.0


class Steps:
    """Says what is done, and how long it took."""

    def __init__(self) -> None:
        self.timings: dict[str, float] = {}
        self._began = time.monotonic()

    def done(self, what: str, took: str) -> None:
        self.timings[took] = round(time.monotonic() - self._began - sum(self.timings.values()), 1)
        print(f"✓ {what} ({self.timings[took]:.0f} s)", flush=True)

    def cluster(self) -> Site:
        where = site.current() if site.is_current() else site.boot()
        self.done("a Kubernetes cluster with Prometheus", "cluster_up_s")
        return where

    def operator(self, stage: Stage) -> None:
        """Install memroll for a stage that is empty."""
        image = stage.site.operator_image(IMAGE)
        self.done("the operator's image", "images_s")
        stage.clear()
        # The image goes by the same name when it was built again: without this the old one would run on.
        anew = ("--set-string", f"podAnnotations.memroll-demo/installed={secrets.token_hex(4)}")
        stage.site.install(RELEASE, OPERATOR, image, [stage.watched], *site.FAST_LEAKS, *anew)
        self.done("memroll, installed by Helm", "install_s")


def watch(stage: Stage, seconds: float, also: Callable[[], list[str]] = list) -> Facts:
    """Show what happens for so long; `also` is asked each time, and may do something about what it sees."""
    facts, coloured = Facts(stage), timeline.use_colour()
    began, framed = time.monotonic(), -FRAME_S
    while (elapsed := time.monotonic() - began) < seconds:
        for words in facts.look() + also():
            print(timeline.happened(elapsed, words, coloured=coloured), flush=True)
        if elapsed - framed >= FRAME_S:
            framed = elapsed
            print(timeline.frame(elapsed, facts.services, coloured=coloured), flush=True)
        time.sleep(LOOK_S)
    for words in facts.look():
        print(timeline.happened(seconds, words, coloured=coloured), flush=True)
    return facts
