"""`make demo SYSTEM=name`: one of the four systems, watched; and its stage, which the end-to-end tests use, too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from memroll_demo import proof, report, site
from memroll_demo.report import Assertion
from memroll_demo.site import CommandError
from memroll_demo.stage import Stage, namespace, placed
from memroll_demo.systems import HERE, SYSTEMS, Member, System, leaking_line
from memroll_demo.watching import Steps, watch

if TYPE_CHECKING:
    from memroll_demo.facts import Facts

PREFIX = "memroll-systems"
"""The namespace in the manifests; the others' names begin with it."""
IMAGE = "localhost/memroll-systems:1"
MIXED, APART = 1, 0
"""What tracing_race.check exits with."""


@dataclass(frozen=True)
class Systems(Stage):
    """Where some of the systems play at the same time: one namespace, and one for their load."""

    prefix: str = PREFIX
    services: tuple[str, ...] = tuple(member.name for system in SYSTEMS.values() for member in system.members)
    programs: str = IMAGE
    """The image with all of them."""

    @classmethod
    def of(cls, where: site.Site, *systems: System, prefix: str = PREFIX, programs: str = IMAGE) -> Systems:
        names = tuple(member.name for system in systems for member in system.members)
        return cls(where, prefix, names, programs)

    @property
    def systems(self) -> tuple[System, ...]:
        return tuple(s for s in SYSTEMS.values() if s.members[0].name in self.services)

    @property
    def members(self) -> tuple[Member, ...]:
        return tuple(member for system in self.systems for member in system.members)

    @property
    def leaking(self) -> tuple[Member, ...]:
        return tuple(member for member in self.members if member.leak)

    def set_up(self) -> None:
        """Create the namespaces, services and policies; return when every pod is Ready and under load."""
        self.site.apply(namespace(self.watched), namespace(self.load))
        for system in self.systems:
            self.site.apply(*self.placed(system.name))
        for name in self.services:
            self.site.kubectl("rollout", "status", f"deployment/{name}", "-n", self.watched, "--timeout=120s")
        (pod,) = self.placed("load")
        targets = " ".join(f"{m.name}@{m.per_second}={self.url_of(m.name)}{m.visit}" for m in self.members)
        self.start_load(pod, TARGETS=targets, VISITS="memroll_systems.users")

    def placed(self, name: str) -> list[dict[str, Any]]:
        """Read one file of the systems' manifests."""
        return placed(HERE / "manifests" / f"{name}.yaml", self.programs, (PREFIX, self.prefix))

    def told(self, member: Member) -> bool:
        """Whether the policy of a member says that a pod leaks."""
        return self.site.condition(self.watched, member.name, "Breaching")[:2] == ("True", "LeakConfirmed")

    def enforce(self, member: Member) -> None:
        """Let a policy that has observed act from now on."""
        self.site.kubectl(
            "patch", "mempol", member.name, "-n", self.watched, "--type=merge", "-p", '{"spec":{"mode":"Enforce"}}'
        )

    def race(self, member: Member) -> tuple[int, str]:
        """Ask from the load's pod whether runs at the same time keep apart; return the exit code and the words."""
        command = f"python -m memroll_systems.tracing_race.check {self.url_of(member.name)}; echo exit=$?"
        said = self.site.kubectl("exec", "load", "-n", self.load, "--", "sh", "-c", command)
        words, _, code = said.strip().rpartition("exit=")
        return int(code), words.strip()


class Director:
    """Does what a play needs on the way: turns an observing policy to Enforce, and asks for races."""

    def __init__(self, stage: Systems) -> None:
        self.stage = stage
        self.found: list[Assertion] = []
        self._observing = [m for m in stage.members if m.told_first]

    def look(self) -> list[str]:
        """Return what was done, in words."""
        try:
            told = [member for member in self._observing if self.stage.told(member)]
            return [self._enforce(member) for member in told]
        except CommandError:
            return []  # the timeline tells that the cluster does not answer

    def _enforce(self, member: Member) -> str:
        rolls = proof.of_service(self.stage.site.rolls(self.stage.watched), member.name)
        self.stage.enforce(member)
        self._observing.remove(member)
        self.found.append(Assertion(f"{member.name} was only told of in Observe", not rolls, f"{len(rolls)} rolls"))
        return f"{member.name}: the leak is told (Breaching, LeakConfirmed), and its policy set to Enforce"

    def race(self) -> None:
        """Ask all members of systems that race, and say what they answered."""
        for member in (m for system in self.stage.systems if system.races for m in system.members):
            code, words = self.stage.race(member)
            print(f"{member.name}: {words}", flush=True)
            name = f"{member.name} {'mixes' if member.leak else 'keeps apart'} runs at the same time"
            self.found.append(Assertion(name, code == (MIXED if member.leak else APART), words))

    def late(self) -> list[Assertion]:
        """Say what should have been told meanwhile and was not."""
        return [Assertion(f"the leak of {m.name} was told", ok=False, detail="never") for m in self._observing]


def run(system: System, seconds: float | None) -> int:
    """Play one system; 0 when all that it promises held."""
    seconds = seconds or system.seconds
    steps = Steps()
    where = steps.cluster()
    stage = Systems.of(where, system, programs=where.systems_image(IMAGE))
    steps.done("the image of the systems", "systems_image_s")
    steps.operator(stage)
    stage.set_up()
    steps.done(f"{', '.join(stage.services)} under load", "services_s")
    director = Director(stage)
    director.race()
    facts = watch(stage, seconds, director.look)
    found = judged(stage, facts, seconds) + director.found + director.late()
    return conclude(system, facts, found, steps.timings | {"run_s": seconds})


def judged(stage: Systems, facts: Facts, seconds: float) -> list[Assertion]:
    """Say what the play promises of each member, and whether it held."""
    rolls, ran = stage.site.rolls(stage.watched), stage.load_runs()
    found: list[Assertion] = []
    for member in stage.members:
        service = facts.services[member.name]
        if member.leak:
            found += report.protected(member.name, service, rolls_least=member.replicas)
            found.append(proof.named(rolls, member.name, leaking_line(member.leak)))
        else:
            found.append(report.innocent(member.name, service))
        if member.replicas > 1:
            found.append(proof.one_at_a_time(rolls, member.name))
        found.append(report.served(member.name, service, report.Load(member.per_second * seconds, ran)))
    return found


def conclude(system: System, facts: Facts, found: list[Assertion], timings: dict[str, float]) -> int:
    """Show what a person would type and read, the evidence, the summary and the verdict."""
    where, watched = facts.stage.site, facts.stage.watched
    for command in (f"get mempol,podrolls -n {watched}", f"describe mempol {system.name} -n {watched}"):
        print(f"\n$ kubectl {command}\n{where.kubectl(*command.split())}", flush=True)
    rolls = where.rolls(watched)
    for member in (m for m in system.members if m.leak):
        line = leaking_line(member.leak)
        print(f"{proof.shown(rolls, member.name)}\n  the leak, in {line}:\n    {line.text}\n")
    content = report.figures(
        facts.services, found, timings=timings, duration_s=timings["run_s"], cluster=where.versions()
    )
    report.write(site.ROOT / "build" / f"demo-{system.name}.json", content)
    print(f"{report.table(facts.services)}\n\n{report.verdicts(found)}\n")
    print("The cluster stays up to play with: `make cluster-status`. `make demo-down` removes everything.")
    return 0 if content["passed"] else 1
