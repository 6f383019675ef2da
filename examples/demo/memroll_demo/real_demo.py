"""Demo of real programs, for `make demo SYSTEM=langflow` and `SYSTEM=chatchat`: unchanged, wrapped by the probe."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memroll_demo import assertions, memory, report
from memroll_demo.assertions import Assertion, ExpectedLoad
from memroll_demo.cluster import ROOT
from memroll_demo.runner import SetupSteps, observe_for
from memroll_demo.scenario import DemoScenario, load_manifests, namespace_manifest

if TYPE_CHECKING:
    from memroll_demo.cluster import DemoCluster
    from memroll_demo.memory import ContainerLifetime
    from memroll_demo.observations import Observations

HERE = Path(__file__).parents[2] / "real"
PREFIX = "memroll-real"
"""Namespace in the manifests, and prefix of the load's namespace."""
READY_S = 300
"""Timeout in seconds until a pod is Ready: two LangFlow pods start on one node, and each loads 100,000 functions."""


@dataclass(frozen=True)
class RealImage:
    """Image built from examples/real/images; on other clusters, the environment variable `variable` names it."""

    name: str
    dockerfile: str
    variable: str
    version: str = ""

    def build(self, cluster: DemoCluster) -> str:
        folder = HERE / "images"
        arguments = {"VERSION": self.version} if self.version else {}
        return cluster.build_image(self.name, folder / self.dockerfile, folder, self.variable, **arguments)


@dataclass(frozen=True)
class RealProgram:
    """Deployment of a real program under load."""

    name: str
    image: RealImage
    leaks: bool = False
    """True if it must be rolled at least twice; otherwise it must never be rolled."""


@dataclass(frozen=True)
class RealSystem:
    """Programs that run in one demo, their load, and its duration."""

    name: str
    programs: tuple[RealProgram, ...]
    visits: str
    per_second: float
    """Visits per second; each consists of several requests."""
    seconds: float
    dependencies: tuple[tuple[str, RealImage], ...] = ()
    """Name of the Deployment and image of each program that they need."""

    @property
    def images(self) -> tuple[tuple[str, RealImage], ...]:
        return (*((program.name, program.image) for program in self.programs), *self.dependencies)


def langflow(version: str, *, leaks: bool) -> RealProgram:
    name = f"langflow-{version.replace('.', '-')}"
    variable = f"LANGFLOW_{version.replace('.', '_')}_IMAGE"
    image = RealImage(f"localhost/langflow:{version}", "langflow.Dockerfile", variable, version)
    return RealProgram(name, image, leaks=leaks)


POSTGRES = RealImage("localhost/postgres:bookworm", "postgres.Dockerfile", "POSTGRES_IMAGE")
CHATCHAT = RealImage("localhost/chatchat:0.3.1.3", "chatchat.Dockerfile", "CHATCHAT_IMAGE", "0.3.1.3")
REAL_SYSTEMS = {
    system.name: system
    for system in (
        RealSystem(
            "langflow",
            (langflow("1.1.1", leaks=True), langflow("1.13.0", leaks=False)),
            "memroll_real.langflow",
            per_second=1 / 3,
            seconds=2400,
            dependencies=(("postgres", POSTGRES),),
        ),
        RealSystem(
            "chatchat", (RealProgram("chatchat", CHATCHAT),), "memroll_real.chatchat", per_second=0.5, seconds=900
        ),
    )
}

HOLDER = "attribute 'observers' of langflow.services.state.service.InMemoryStateService"
"""Referrer that keeps the memory of LangFlow 1.1.1: callbacks of finished runs that are never unsubscribed."""
ALLOCATING_FILES = ("langflow/utils/validate.py", "json/decoder.py", "inspect.py", "pydantic/main.py")
"""Source files that allocate the leaked memory: each run compiles its components from source again."""


@dataclass(frozen=True)
class RealScenario(DemoScenario):
    """Real system in one namespace, and its load in another."""

    prefix: str = PREFIX
    system: RealSystem = REAL_SYSTEMS["langflow"]
    images: tuple[tuple[str, str], ...] = ()
    """Name and image of each Deployment."""

    @classmethod
    def of(cls, cluster: DemoCluster, system: RealSystem, prefix: str = PREFIX) -> RealScenario:
        """Build the images, and return the scenario."""
        images = tuple((name, image.build(cluster)) for name, image in system.images)
        return cls(cluster, prefix, tuple(program.name for program in system.programs), system, images)

    def set_up(self) -> None:
        """Create the namespaces, programs and policies; return when every pod is Ready and under load."""
        self.cluster.apply(namespace_manifest(self.watched), namespace_manifest(self.load))
        probe = MountedSources.of("probe", ROOT / "probe", "memroll_probe/**/*.py")
        self.cluster.apply(probe.config_map(self.watched))
        self._set_up_state()
        self.cluster.apply(*(probe.mount(manifest) for manifest in self._load_manifests(self.system.name)))
        self._wait(*self.services)
        self._start_load()

    def _set_up_state(self) -> None:
        """Start the database, and write its address into a Secret, because a cluster may not have DNS."""
        password = secrets.token_urlsafe(16)
        state = {"password": password, "secret-key": secrets.token_urlsafe(32)}
        self.cluster.apply(self._secret(state))
        for name, _ in self.system.dependencies:
            self.cluster.apply(*self._load_manifests(name))
            self._wait(name)
            address = self.cluster.get("service", self.watched, name)["spec"]["clusterIP"]
            state |= {n: f"postgresql://langflow:{password}@{address}:5432/{n}" for n in self.services}
        self.cluster.apply(self._secret(state))

    def _secret(self, state: dict[str, str]) -> dict[str, Any]:
        meta = {"name": "state", "namespace": self.watched}
        return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": state}

    def _wait(self, *names: str) -> None:
        for name in names:
            arguments = (f"deployment/{name}", "-n", self.watched, f"--timeout={READY_S}s")
            self.cluster.kubectl("rollout", "status", *arguments)

    def _load_manifests(self, name: str) -> list[dict[str, Any]]:
        """Load one file of the manifests, with the image of each Deployment."""
        manifests = load_manifests(HERE / "manifests" / f"{name}.yaml", self.image, (PREFIX, self.prefix))
        for deployment in (m for m in manifests if m["kind"] == "Deployment"):
            (container,) = deployment["spec"]["template"]["spec"]["containers"]
            container["image"] = dict(self.images)[deployment["metadata"]["name"]]
        return manifests

    def _start_load(self) -> None:
        visits = MountedSources.of("program", HERE, "memroll_real/*.py")
        program = visits.with_file(HERE.parent / "demo/service/load.py")
        self.cluster.apply(program.config_map(self.load))
        (pod,) = self._load_manifests("load")
        targets = " ".join(f"{name}@{self.system.per_second:.3f}={self.url_of(name)}" for name in self.services)
        self.start_load(program.mount(pod), TARGETS=targets, VISITS=self.system.visits)


@dataclass(frozen=True)
class MountedSources:
    """Source files in a ConfigMap, mounted with their folders, so that no image has to be built for them."""

    name: str
    files: dict[str, str]

    @classmethod
    def of(cls, name: str, root: Path, pattern: str) -> MountedSources:
        paths = sorted(root.glob(pattern))
        return cls(name, {str(path.relative_to(root)): path.read_text(encoding="utf-8") for path in paths})

    def with_file(self, path: Path) -> MountedSources:
        return MountedSources(self.name, self.files | {path.name: path.read_text(encoding="utf-8")})

    def config_map(self, namespace: str) -> dict[str, Any]:
        data = {_key(path): text for path, text in self.files.items()}
        meta = {"name": self.name, "namespace": namespace}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}

    def mount(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """Add the files' paths to the volumes of a Pod or Deployment that use this ConfigMap."""
        spec = manifest["spec"] if manifest["kind"] == "Pod" else manifest["spec"].get("template", {}).get("spec", {})
        for volume in spec.get("volumes", []):
            if volume.get("configMap", {}).get("name") == self.name:
                volume["configMap"]["items"] = [{"key": _key(path), "path": path} for path in self.files]
        return manifest


def _key(path: str) -> str:
    return path.replace("/", "--")


def run(system: RealSystem, seconds: float | None) -> int:
    """Run the demo of one real system; return the exit code."""
    seconds = seconds or system.seconds
    steps = SetupSteps()
    cluster = steps.cluster()
    scenario = RealScenario.of(cluster, system)
    steps.done(f"the images of {system.name}, as its users install it", "real_images_s")
    steps.operator(scenario)
    scenario.set_up()
    steps.done(f"{', '.join(scenario.services)} under load", "services_s")
    observations = observe_for(scenario, seconds)
    lifetimes = memory.read_lifetimes(cluster, scenario.watched, steps.timings["services_s"] + seconds)
    checked = check_programs(scenario, observations, seconds)
    return conclude(observations, system, checked, lifetimes, steps.timings | {"run_s": seconds})


def check_programs(scenario: RealScenario, observations: Observations, seconds: float) -> list[Assertion]:
    """Check rolls, evidence and requests of each program."""
    rolls = scenario.cluster.rolls(scenario.watched)
    load = ExpectedLoad(scenario.system.per_second * seconds, scenario.is_load_running())
    checked: list[Assertion] = []
    for program in scenario.system.programs:
        name, service = program.name, observations.services[program.name]
        if program.leaks:
            checked += assertions.check_leaking(name, service, min_rolls=2)
            checked += [check_allocating_lines(rolls, name), check_holder(rolls, name)]
        else:
            checked += [assertions.check_never_rolled(name, service), assertions.check_no_oom_kill(name, service)]
        checked.append(assertions.check_requests(name, service, load))
    return checked


def check_allocating_lines(rolls: list[dict[str, Any]], service: str) -> Assertion:
    """Check that the evidence of each roll names one of the allocating files first."""
    succeeded = assertions.succeeded_rolls(assertions.rolls_of_service(rolls, service))
    firsts = [next((g["file"] for g in assertions.grown_lines(roll)), "nothing") for roll in succeeded]
    ok = bool(firsts) and all(first.endswith(ALLOCATING_FILES) for first in firsts)
    reasons = "; ".join(filter(None, map(assertions.describe_missing, succeeded)))
    detail = f"first is {', '.join(firsts) or 'no roll'}{f' ({reasons})' if reasons else ''}"
    return Assertion(f"the evidence of {service} names the lines that allocate the leaked memory", ok, detail)


def check_holder(rolls: list[dict[str, Any]], service: str) -> Assertion:
    """Check that the evidence of at least one roll names the referrer that keeps the memory."""
    succeeded = assertions.succeeded_rolls(assertions.rolls_of_service(rolls, service))
    naming = [roll for roll in succeeded if any(HOLDER in holder for holder in assertions.holders(roll))]
    detail = f"{len(naming)} of {len(succeeded)} rolls name {HOLDER}"
    return Assertion(f"the evidence of {service} names the object that keeps the memory", bool(naming), detail)


def conclude(
    observations: Observations,
    system: RealSystem,
    checked: list[Assertion],
    lifetimes: list[ContainerLifetime],
    timings: dict[str, float],
) -> int:
    """Print the output of kubectl commands, the evidence, the summary and the assertions; return the exit code."""
    cluster, watched = observations.scenario.cluster, observations.scenario.watched
    for command in (f"get mempol,podrolls -n {watched}", f"describe mempol -n {watched}"):
        print(f"\n$ kubectl {command}\n{cluster.kubectl(*command.split())}", flush=True)
    rolls = cluster.rolls(watched)
    for name in (p.name for p in system.programs if p.leaks):
        print(f"{assertions.format_grown_lines(rolls, name)}\n{assertions.format_holders(rolls, name)}\n")
    content = report.build_figures(
        observations.services,
        checked,
        timings=timings,
        duration_s=timings["run_s"],
        cluster=cluster.versions(),
        lifetimes=[lifetime.to_dict() for lifetime in lifetimes],
    )
    build = ROOT / "build"
    report.write(build / f"demo-{system.name}.json", content)
    memory.draw(build / f"{system.name}.svg", lifetimes)
    print(f"{report.format_table(observations.services)}\n\n{memory.format_table(lifetimes)}\n")
    print(f"{report.format_assertions(checked)}\n")
    print(f"build/{system.name}.svg shows the memory. `make demo-down` removes everything.")
    return 0 if content["passed"] else 1
