"""Demo of one of the four systems, for `make demo SYSTEM=name`. The end-to-end tests also use its scenario."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from memroll_demo import assertions, report
from memroll_demo.assertions import Assertion, ExpectedLoad
from memroll_demo.cluster import ROOT, CommandError
from memroll_demo.runner import SetupSteps, observe_for
from memroll_demo.scenario import DemoScenario, load_manifests, namespace_manifest
from memroll_demo.systems import HERE, SYSTEMS, System, SystemDeployment, leaking_line

if TYPE_CHECKING:
    from memroll_demo.cluster import DemoCluster
    from memroll_demo.observations import Observations

PREFIX = "memroll-systems"
"""Namespace in the manifests, and prefix of the load's namespace."""
IMAGE = "localhost/memroll-systems:1"
EXIT_MIXED, EXIT_ISOLATED = 1, 0
"""Exit codes of tracing_race.check."""


@dataclass(frozen=True)
class SystemsScenario(DemoScenario):
    """Some of the systems at the same time, in one namespace, and their load in another."""

    prefix: str = PREFIX
    services: tuple[str, ...] = tuple(d.name for system in SYSTEMS.values() for d in system.deployments)
    programs: str = IMAGE
    """Image that contains all systems."""

    @classmethod
    def of(cls, cluster: DemoCluster, *systems: System, prefix: str = PREFIX, programs: str = IMAGE) -> SystemsScenario:
        names = tuple(deployment.name for system in systems for deployment in system.deployments)
        return cls(cluster, prefix, names, programs)

    @property
    def systems(self) -> tuple[System, ...]:
        return tuple(s for s in SYSTEMS.values() if s.deployments[0].name in self.services)

    @property
    def deployments(self) -> tuple[SystemDeployment, ...]:
        return tuple(deployment for system in self.systems for deployment in system.deployments)

    @property
    def leaking(self) -> tuple[SystemDeployment, ...]:
        return tuple(deployment for deployment in self.deployments if deployment.leak)

    def set_up(self, load_ratio: float = 1.0) -> None:
        """Create the namespaces, services and policies; return when every pod is Ready and under load.

        `load_ratio`: ratio of the usual load to send. On a slow machine rolls take longer, but leaks grow as fast.
        """
        self.cluster.apply(namespace_manifest(self.watched), namespace_manifest(self.load))
        for system in self.systems:
            self.cluster.apply(*self.load_manifests(system.name))
        for name in self.services:
            self.cluster.kubectl("rollout", "status", f"deployment/{name}", "-n", self.watched, "--timeout=120s")
        (pod,) = self.load_manifests("load")
        rates = ((d, d.per_second * load_ratio) for d in self.deployments)
        targets = " ".join(f"{d.name}@{rate:g}={self.url_of(d.name)}{d.visit}" for d, rate in rates)
        self.start_load(pod, TARGETS=targets, VISITS="memroll_systems.users")

    def load_manifests(self, name: str) -> list[dict[str, Any]]:
        """Load one file of the systems' manifests."""
        return load_manifests(HERE / "manifests" / f"{name}.yaml", self.programs, (PREFIX, self.prefix))

    def is_leak_confirmed(self, deployment: SystemDeployment) -> bool:
        """Return whether the policy's condition AtRisk reports a leaking pod."""
        status, reason, _ = self.cluster.condition(self.watched, deployment.name, "AtRisk")
        return status == "True" and reason in ("Leaking", "Exhausting")

    def enforce(self, deployment: SystemDeployment) -> None:
        """Set the policy's mode to Enforce."""
        self.cluster.kubectl(
            "patch", "mempol", deployment.name, "-n", self.watched, "--type=merge", "-p", '{"spec":{"mode":"Enforce"}}'
        )

    def check_isolation(self, deployment: SystemDeployment) -> tuple[int, str]:
        """Run the check for isolated runs in the load's pod; return its exit code and output."""
        command = f"python -m memroll_systems.tracing_race.check {self.url_of(deployment.name)}; echo exit=$?"
        output = self.cluster.kubectl("exec", "load", "-n", self.load, "--", "sh", "-c", command)
        message, _, code = output.strip().rpartition("exit=")
        return int(code), message.strip()


class SystemsActions:
    """Actions during a demo: set policies from Observe to Enforce, and check the isolation of runs."""

    def __init__(self, scenario: SystemsScenario) -> None:
        self.scenario = scenario
        self.assertions: list[Assertion] = []
        self._observing = [d for d in scenario.deployments if d.observe_first]

    def enforce_confirmed(self) -> list[str]:
        """Set the policies of confirmed leaks to Enforce; return a line for each."""
        try:
            confirmed = [d for d in self._observing if self.scenario.is_leak_confirmed(d)]
            return [self._enforce(deployment) for deployment in confirmed]
        except CommandError:
            return []  # the timeline reports that the cluster is unreachable

    def _enforce(self, deployment: SystemDeployment) -> str:
        rolls = assertions.rolls_of_service(self.scenario.cluster.rolls(self.scenario.watched), deployment.name)
        self.scenario.enforce(deployment)
        self._observing.remove(deployment)
        name = f"{deployment.name} was not rolled in mode Observe"
        self.assertions.append(Assertion(name, not rolls, f"{len(rolls)} rolls"))
        return f"{deployment.name}: leak confirmed (condition AtRisk), policy set to Enforce"

    def check_isolation(self) -> None:
        """Check whether runs are isolated in the systems that require it, and print the results."""
        for deployment in (d for system in self.scenario.systems if system.check_isolation for d in system.deployments):
            code, message = self.scenario.check_isolation(deployment)
            print(f"{deployment.name}: {message}", flush=True)
            name = f"{deployment.name} {'mixes' if deployment.leak else 'isolates'} concurrent runs"
            self.assertions.append(Assertion(name, code == (EXIT_MIXED if deployment.leak else EXIT_ISOLATED), message))

    def unconfirmed_leaks(self) -> list[Assertion]:
        """Return a failed assertion for each leak that was never confirmed."""
        return [Assertion(f"the leak of {d.name} was confirmed", ok=False, detail="never") for d in self._observing]


def run(system: System, seconds: float | None) -> int:
    """Run the demo of one system; return the exit code."""
    seconds = seconds or system.seconds
    steps = SetupSteps()
    cluster = steps.cluster()
    scenario = SystemsScenario.of(cluster, system, programs=cluster.build_systems_image(IMAGE))
    steps.done("the image of the systems", "systems_image_s")
    steps.operator(scenario)
    scenario.set_up()
    steps.done(f"{', '.join(scenario.services)} under load", "services_s")
    actions = SystemsActions(scenario)
    actions.check_isolation()
    observations = observe_for(scenario, seconds, actions.enforce_confirmed)
    checked = check_deployments(scenario, observations, seconds) + actions.assertions + actions.unconfirmed_leaks()
    return conclude(system, observations, checked, steps.timings | {"run_s": seconds})


def check_deployments(scenario: SystemsScenario, observations: Observations, seconds: float) -> list[Assertion]:
    """Check rolls, evidence and requests of each Deployment."""
    rolls, ran_to_end = scenario.cluster.rolls(scenario.watched), scenario.is_load_running()
    checked: list[Assertion] = []
    for deployment in scenario.deployments:
        service = observations.services[deployment.name]
        if deployment.leak:
            checked += assertions.check_leaking(deployment.name, service, min_rolls=deployment.replicas)
            checked.append(assertions.check_evidence_line(rolls, deployment.name, leaking_line(deployment.leak)))
        else:
            checked.append(assertions.check_never_rolled(deployment.name, service))
        if deployment.replicas > 1:
            checked.append(assertions.check_one_at_a_time(rolls, deployment.name))
        load = ExpectedLoad(deployment.per_second * seconds, ran_to_end)
        checked.append(assertions.check_requests(deployment.name, service, load))
    return checked


def conclude(system: System, observations: Observations, checked: list[Assertion], timings: dict[str, float]) -> int:
    """Print the output of kubectl commands, the evidence, the summary and the assertions; return the exit code."""
    cluster, watched = observations.scenario.cluster, observations.scenario.watched
    for command in (f"get mempol,podrolls -n {watched}", f"describe mempol {system.name} -n {watched}"):
        print(f"\n$ kubectl {command}\n{cluster.kubectl(*command.split())}", flush=True)
    rolls = cluster.rolls(watched)
    for deployment in (d for d in system.deployments if d.leak):
        line = leaking_line(deployment.leak)
        print(f"{assertions.format_grown_lines(rolls, deployment.name)}\n  the leak, in {line}:\n    {line.text}\n")
    content = report.build_figures(
        observations.services, checked, timings=timings, duration_s=timings["run_s"], cluster=cluster.versions()
    )
    report.write(ROOT / "build" / f"demo-{system.name}.json", content)
    print(f"{report.format_table(observations.services)}\n\n{report.format_assertions(checked)}\n")
    print("The cluster stays up: see `make cluster-status`. `make demo-down` removes everything.")
    return 0 if content["passed"] else 1
