"""`run`: the whole demo, start to verdict. `down`: remove all of it."""

from __future__ import annotations

import argparse
import signal
import sys
from functools import partial
from typing import TYPE_CHECKING

from memroll_demo import play, real, report, site
from memroll_demo.stage import RATE_PER_S, Stage
from memroll_demo.systems import SYSTEMS
from memroll_demo.watching import Steps, watch

if TYPE_CHECKING:
    from collections.abc import Callable

    from memroll_demo.facts import Facts

DURATION_S = 360.0


def main() -> int:
    parser = argparse.ArgumentParser("memroll_demo", description=__doc__)
    commands = parser.add_subparsers(required=True, dest="command")
    running = commands.add_parser("run", help="set up the cluster and the services, watch, report")
    running.add_argument("--seconds", type=float, help="how long to watch (default: as long as it takes to show)")
    others = ", ".join(filter(None, PLAYS))
    running.add_argument("--system", default="", choices=PLAYS, metavar="NAME", help=f"play one of: {others}")
    commands.add_parser("down", help="remove the demo, and the local cluster with it")
    arguments = parser.parse_args()
    # Being told to end is being interrupted: what was started is stopped on the way out.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return PLAYS[arguments.system](arguments.seconds) if arguments.command == "run" else down()
    except AssertionError as error:  # a command's failure, too, is one
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted: the cluster and the services go on; `make demo-down` removes them", file=sys.stderr)
        return 130


def run(seconds: float | None) -> int:
    """Play the five services."""
    seconds = seconds or DURATION_S
    steps = Steps()
    where = steps.cluster()
    stage = Stage(where)
    steps.operator(stage)
    stage.set_up()
    steps.done("five services under load: leaky, leaky-fleet, highwater, warmup; control has no policy", "services_s")
    facts = watch(stage, seconds)
    return conclude(facts, steps.timings | {"run_s": round(seconds, 1)})


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
        play.Systems(site.current()).clear()
        real.RealStage(site.current()).clear()
    else:
        site.local("down", show=True)  # all that runs in it goes with it
    return 0


PLAYS: dict[str, Callable[[float | None], int]] = {
    "": run,
    **{name: partial(play.run, system) for name, system in SYSTEMS.items()},
    **{name: partial(real.run, one) for name, one in real.REAL.items()},
}
"""What `make demo SYSTEM=name` plays, by name: each is given the seconds to watch, and returns the exit code."""

if __name__ == "__main__":
    sys.exit(main())
