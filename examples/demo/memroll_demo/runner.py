"""Steps that all demos share: set up a cluster with memroll on it, then observe and print the timeline."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING

from memroll_demo import cluster, timeline
from memroll_demo.observations import Observations
from memroll_demo.scenario import OPERATOR, RELEASE

if TYPE_CHECKING:
    from collections.abc import Callable

    from memroll_demo.cluster import DemoCluster
    from memroll_demo.scenario import DemoScenario

IMAGE = "localhost/memroll:demo"
OBSERVE_INTERVAL_S = 2.0
FRAME_INTERVAL_S = 15.0


class SetupSteps:
    """Setup steps of a demo; each prints a line with its duration."""

    def __init__(self) -> None:
        self.timings: dict[str, float] = {}
        self._started = time.monotonic()

    def done(self, what: str, timing: str) -> None:
        """Print that a step is done, and record its duration under the name `timing`."""
        self.timings[timing] = round(time.monotonic() - self._started - sum(self.timings.values()), 1)
        print(f"✓ {what} ({self.timings[timing]:.0f} s)", flush=True)

    def cluster(self) -> DemoCluster:
        """Return the current cluster, or start the local one."""
        found = cluster.current() if cluster.is_current() else cluster.boot()
        self.done("a Kubernetes cluster with Prometheus", "cluster_up_s")
        return found

    def operator(self, scenario: DemoScenario) -> None:
        """Delete the scenario's namespaces of an earlier run, and install memroll."""
        image = scenario.cluster.build_operator_image(IMAGE)
        self.done("the operator's image", "images_s")
        scenario.delete_namespaces()
        # A rebuilt image has the same name; without a changed annotation, the pod with the old image would stay.
        restart = ("--set-string", f"podAnnotations.memroll-demo/installed={secrets.token_hex(4)}")
        scenario.cluster.install(RELEASE, OPERATOR, image, [scenario.watched], *cluster.FAST_LEAKS, *restart)
        self.done("memroll, installed by Helm", "install_s")


def observe_for(scenario: DemoScenario, seconds: float, act: Callable[[], list[str]] = list) -> Observations:
    """Observe for this long and print the timeline. `act` is called after each observation; it returns event lines."""
    observations, coloured = Observations(scenario), timeline.use_colour()
    started, last_frame = time.monotonic(), -FRAME_INTERVAL_S
    while (elapsed := time.monotonic() - started) < seconds:
        for line in observations.observe() + act():
            print(timeline.format_event(elapsed, line, coloured=coloured), flush=True)
        if elapsed - last_frame >= FRAME_INTERVAL_S:
            last_frame = elapsed
            print(timeline.format_frame(elapsed, observations.services, coloured=coloured), flush=True)
        time.sleep(OBSERVE_INTERVAL_S)
    for line in observations.observe():
        print(timeline.format_event(seconds, line, coloured=coloured), flush=True)
    return observations
