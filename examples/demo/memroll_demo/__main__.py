"""Command line of the demo. `run`: set up, observe and report. `down`: remove everything."""

from __future__ import annotations

import argparse
import signal
import sys
from functools import partial
from typing import TYPE_CHECKING

from memroll_demo import assertions, cluster, real_demo, report, systems_demo
from memroll_demo.runner import SetupSteps, observe_for
from memroll_demo.scenario import RATE_PER_S, DemoScenario
from memroll_demo.systems import SYSTEMS

if TYPE_CHECKING:
    from collections.abc import Callable

    from memroll_demo.observations import Observations

DURATION_S = 360.0


def main() -> int:
    parser = argparse.ArgumentParser("memroll_demo", description=__doc__)
    commands = parser.add_subparsers(required=True, dest="command")
    running = commands.add_parser("run", help="set up the cluster and the services, observe, report")
    running.add_argument("--seconds", type=float, help="duration of the observation (default: depends on the demo)")
    others = ", ".join(filter(None, DEMOS))
    running.add_argument("--system", default="", choices=DEMOS, metavar="NAME", help=f"run another demo: {others}")
    commands.add_parser("down", help="remove the demo, and the local cluster with it")
    arguments = parser.parse_args()
    # SIGTERM is handled like an interrupt, so that processes that were started are stopped on the way out.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return DEMOS[arguments.system](arguments.seconds) if arguments.command == "run" else down()
    except AssertionError as error:  # includes CommandError
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted: cluster and services are still running; `make demo-down` removes them", file=sys.stderr)
        return 130


def run(seconds: float | None) -> int:
    """Run the demo of the five services; return the exit code."""
    seconds = seconds or DURATION_S
    steps = SetupSteps()
    scenario = DemoScenario(steps.cluster())
    steps.operator(scenario)
    scenario.set_up()
    steps.done("five services under load: leaky, leaky-fleet, highwater, warmup; control has no policy", "services_s")
    observations = observe_for(scenario, seconds)
    return conclude(observations, steps.timings | {"run_s": round(seconds, 1)})


def conclude(observations: Observations, timings: dict[str, float]) -> int:
    """Print the output of kubectl commands, the summary and the assertions; return the exit code."""
    scenario = observations.scenario
    load = assertions.ExpectedLoad(requests=RATE_PER_S * timings["run_s"], ran_to_end=scenario.is_load_running())
    checked = assertions.check_services(observations.services, load)
    for command in (
        f"get mempol,podrolls -n {scenario.watched}",
        f"describe deployment leaky -n {scenario.watched}",
        f"describe mempol leaky -n {scenario.watched}",
    ):
        print(f"\n$ kubectl {command}\n{scenario.cluster.kubectl(*command.split())}", flush=True)
    content = report.build_figures(
        observations.services,
        checked,
        timings=timings,
        duration_s=timings["run_s"],
        cluster=scenario.cluster.versions(),
    )
    report.write(cluster.ROOT / "build" / "demo.json", content)
    print(f"{report.format_table(observations.services)}\n\n{report.format_assertions(checked)}\n")
    print("The cluster stays up: see `make cluster-status`. `make demo-down` removes everything.")
    return 0 if content["passed"] else 1


def down() -> int:
    """Remove the demos from the current cluster, or the local cluster as a whole."""
    if cluster.is_current():
        current = cluster.current()
        DemoScenario(current).tear_down()
        systems_demo.SystemsScenario(current).delete_namespaces()
        real_demo.RealScenario(current).delete_namespaces()
    else:
        cluster.run_localcluster("down", show=True)
    return 0


DEMOS: dict[str, Callable[[float | None], int]] = {
    "": run,
    **{name: partial(systems_demo.run, system) for name, system in SYSTEMS.items()},
    **{name: partial(real_demo.run, system) for name, system in real_demo.REAL_SYSTEMS.items()},
}
"""Functions for `make demo SYSTEM=name`, by name: each receives the duration in seconds and returns the exit code."""

if __name__ == "__main__":
    sys.exit(main())
