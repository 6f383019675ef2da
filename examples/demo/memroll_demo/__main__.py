"""`run`: the whole demo, start to verdict. `down`: remove all of it."""

from __future__ import annotations

import argparse
import signal
import sys
import time

from memroll_demo import report, site, timeline
from memroll_demo.facts import Facts
from memroll_demo.stage import OPERATOR, RATE_PER_S, RELEASE, Stage

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
    # Being told to end is being interrupted: what was started is stopped on the way out.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return run(arguments.seconds) if arguments.command == "run" else down()
    except AssertionError as error:  # a command's failure, too, is one
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
    stage = Stage(where)
    step("a Kubernetes cluster with Prometheus", "cluster_up_s")
    image = where.operator_image(IMAGE)
    step("the operator's image", "images_s")
    stage.clear()
    where.install(RELEASE, OPERATOR, image, [stage.watched], *site.FAST_LEAKS)
    step("memroll, installed by Helm", "install_s")
    stage.set_up()
    step("five services under load: leaky, leaky-fleet, highwater, warmup; control has no policy", "services_s")
    facts = watch(stage, seconds)
    timings["run_s"] = round(seconds, 1)
    return conclude(facts, timings)


def watch(stage: Stage, seconds: float) -> Facts:
    """Show what happens for so long."""
    facts, coloured = Facts(stage), timeline.use_colour()
    began, framed = time.monotonic(), -FRAME_S
    while (elapsed := time.monotonic() - began) < seconds:
        for words in facts.look():
            print(timeline.happened(elapsed, words, coloured=coloured), flush=True)
        if elapsed - framed >= FRAME_S:
            framed = elapsed
            print(timeline.frame(elapsed, facts.services, coloured=coloured), flush=True)
        time.sleep(LOOK_S)
    for words in facts.look():
        print(timeline.happened(seconds, words, coloured=coloured), flush=True)
    return facts


def conclude(facts: Facts, timings: dict[str, float]) -> int:
    """Show what a person would type and read, then the summary and the verdict."""
    stage = facts.stage
    load = report.Load(requests_wanted=RATE_PER_S * timings["run_s"], ran=stage.load_runs())
    found = report.assertions(facts.services, load)
    for command in (
        f"get mempol,podrolls -n {stage.watched}",
        f"describe deployment leaky -n {stage.watched}",
        f"describe mempol leaky -n {stage.watched}",
    ):
        print(f"\n$ kubectl {command}\n{stage.site.kubectl(*command.split())}", flush=True)
    content = report.figures(
        facts.services, found, timings=timings, duration_s=timings["run_s"], cluster=stage.site.versions()
    )
    report.write(site.ROOT / "build" / "demo.json", content)
    print(f"{report.table(facts.services)}\n\n{report.verdicts(found)}\n")
    print("The cluster stays up to play with: `make cluster-status`. `make demo-down` removes everything.")
    return 0 if content["passed"] else 1


def down() -> int:
    if site.is_current():
        Stage(site.current()).take_down()
    else:
        site.local("down", show=True)  # all that runs in it goes with it
    return 0


if __name__ == "__main__":
    sys.exit(main())
