"""`run`: the whole demo, start to verdict. `down`: remove all of it."""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING

from memroll_demo import report, site, stage, timeline
from memroll_demo.facts import Facts

if TYPE_CHECKING:
    from memroll_demo.site import Site

IMAGE = "localhost/memroll:demo"
DURATION_S = 360.0
LOOK_S = 2.0
FRAME_S = 15.0


def main() -> int:
    parser = argparse.ArgumentParser("memroll_demo", description=__doc__)
    commands = parser.add_subparsers(required=True, dest="command")
    running = commands.add_parser("run", help="set up the cluster and the services, watch, report")
    running.add_argument("--seconds", type=float, default=DURATION_S, help="how long to watch")
    commands.add_parser("down", help="remove the demo, and the local cluster with it")
    arguments = parser.parse_args()
    try:
        return run(arguments.seconds) if arguments.command == "run" else down()
    except site.CommandError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted: the cluster and the services go on; `make demo-down` removes them", file=sys.stderr)
        return 130


def run(seconds: float) -> int:
    timings: dict[str, float] = {}
    began = time.monotonic()

    def step(what: str, took: str) -> None:
        timings[took] = round(time.monotonic() - began - sum(timings.values()), 1)
        print(f"✓ {what} ({timings[took]:.0f} s)", flush=True)

    where = site.current() if site.is_current() else site.boot()
    step("a Kubernetes cluster with Prometheus", "cluster_up_s")
    image = where.operator_image(IMAGE)
    step("the operator's image", "images_s")
    stage.clear(where)
    where.install(stage.RELEASE, stage.OPERATOR, image, [stage.WATCHED])
    step("memroll, installed by Helm", "install_s")
    stage.set_up(where)
    step("five services under load: leaky, leaky-fleet, highwater, warmup; control has no policy", "services_s")
    facts = watch(where, seconds)
    timings["watched_s"] = round(seconds, 1)
    return conclude(where, facts, timings)


def watch(where: Site, seconds: float) -> Facts:
    """Show what happens for so long."""
    facts = Facts(where)
    coloured = timeline.use_colour()
    began, framed = time.monotonic(), -FRAME_S
    while (elapsed := time.monotonic() - began) < seconds:
        for news in facts.look():
            print(timeline.happened(elapsed, news, coloured=coloured), flush=True)
        if elapsed - framed >= FRAME_S:
            framed = elapsed
            print(timeline.frame(elapsed, facts.services, coloured=coloured), flush=True)
        time.sleep(LOOK_S)
    facts.look()
    return facts


def conclude(where: Site, facts: Facts, timings: dict[str, float]) -> int:
    """Show what a person would type and read, then the summary and the verdict."""
    for command in (
        f"get mempol,podrolls -n {stage.WATCHED}",
        f"describe deployment leaky -n {stage.WATCHED}",
        f"describe mempol leaky -n {stage.WATCHED}",
    ):
        print(f"\n$ kubectl {command}\n{where.kubectl(*command.split())}", flush=True)
    found = report.assertions(facts.services)
    version = where.kubectl("version", "-o", "yaml")
    cluster = {"kubernetes": next((v.split()[-1] for v in version.splitlines()[::-1] if "gitVersion" in v), "")}
    content = report.figures(facts.services, found, timings=timings, cluster=cluster)
    report.write(site.ROOT / "build" / "demo.json", content)
    print(f"{report.table(facts.services)}\n\n{report.verdicts(found)}\n")
    print("The cluster stays up to play with: `make cluster-status`. `make demo-down` removes everything.")
    return 0 if content["passed"] else 1


def down() -> int:
    if site.is_current():
        stage.take_down(site.current())
    else:
        site.local("down", show=True)  # all that runs in it goes with it
    return 0


if __name__ == "__main__":
    sys.exit(main())
