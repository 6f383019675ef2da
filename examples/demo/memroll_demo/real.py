"""`make demo SYSTEM=langflow` and `SYSTEM=chatchat`: the real ones, unchanged, with the probe put around them."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memroll_demo import memory, proof, report, site
from memroll_demo.report import Assertion
from memroll_demo.stage import Stage, namespace, placed
from memroll_demo.watching import Steps, watch

if TYPE_CHECKING:
    from memroll_demo.facts import Facts
    from memroll_demo.memory import Life

HERE = Path(__file__).parents[2] / "real"
PREFIX = "memroll-real"
"""The namespace in the manifests; the others' names begin with it."""
READY_S = 300
"""LangFlow loads a hundred thousand functions before it answers, and two of them share the node."""


@dataclass(frozen=True)
class Image:
    """What is built in examples/real/images; on a cluster of your own, `variable` names yours."""

    name: str
    dockerfile: str
    variable: str
    version: str = ""

    def built(self, where: site.Site) -> str:
        folder = HERE / "images"
        arguments = {"VERSION": self.version} if self.version else {}
        return where.image(self.name, folder / self.dockerfile, folder, self.variable, **arguments)


@dataclass(frozen=True)
class Program:
    """One Deployment: a real program under load."""

    name: str
    image: Image
    leaks: bool = False
    """Whether it has to be rolled, twice at least; what does not leak must never be."""


@dataclass(frozen=True)
class Real:
    """What plays together, and for how long."""

    name: str
    programs: tuple[Program, ...]
    visits: str
    per_second: float
    """Visits, each of some requests."""
    seconds: float
    beside: tuple[tuple[str, Image], ...] = ()
    """What they need, by the name of its Deployment."""

    @property
    def images(self) -> tuple[tuple[str, Image], ...]:
        return (*((program.name, program.image) for program in self.programs), *self.beside)


def langflow(version: str, *, leaks: bool) -> Program:
    name = f"langflow-{version.replace('.', '-')}"
    variable = f"LANGFLOW_{version.replace('.', '_')}_IMAGE"
    return Program(name, Image(f"localhost/langflow:{version}", "langflow.Dockerfile", variable, version), leaks=leaks)


POSTGRES = Image("localhost/postgres:bookworm", "postgres.Dockerfile", "POSTGRES_IMAGE")
CHATCHAT = Image("localhost/chatchat:0.3.1.3", "chatchat.Dockerfile", "CHATCHAT_IMAGE", "0.3.1.3")
REAL = {
    real.name: real
    for real in (
        Real(
            "langflow",
            (langflow("1.1.1", leaks=True), langflow("1.13.0", leaks=False)),
            "memroll_real.langflow",
            per_second=1 / 3,
            seconds=2400,
            beside=(("postgres", POSTGRES),),
        ),
        Real("chatchat", (Program("chatchat", CHATCHAT),), "memroll_real.chatchat", per_second=0.5, seconds=900),
    )
}

HOLDER = "attribute 'observers' of langflow.services.state.service.InMemoryStateService"
"""What pins the memory of LangFlow 1.1.1: callbacks of finished runs that are never unsubscribed."""
LINES = ("langflow/utils/validate.py", "json/decoder.py", "inspect.py", "pydantic/main.py")
"""What allocates it: each run makes its components anew from their source."""


@dataclass(frozen=True)
class RealStage(Stage):
    """Where a real one plays: one namespace, and one for its load."""

    prefix: str = PREFIX
    real: Real = REAL["langflow"]
    images: tuple[tuple[str, str], ...] = ()
    """What runs in which Deployment."""

    @classmethod
    def of(cls, where: site.Site, real: Real, prefix: str = PREFIX) -> RealStage:
        """Build the images."""
        images = tuple((name, image.built(where)) for name, image in real.images)
        return cls(where, prefix, tuple(program.name for program in real.programs), real, images)

    def set_up(self) -> None:
        """Create everything and return when every pod is Ready and under load."""
        self.site.apply(namespace(self.watched), namespace(self.load))
        probe = Mounted.of("probe", site.ROOT / "probe", "memroll_probe/**/*.py")
        self.site.apply(probe.as_object(self.watched))
        self._set_up_state()
        self.site.apply(*(probe.into(found) for found in self._placed(self.real.name)))
        self._wait(*self.services)
        self._start_load()

    def _set_up_state(self) -> None:
        """Start what outlives the pods, and write down where it is: a cluster need not have DNS."""
        password = secrets.token_urlsafe(16)
        state = {"password": password, "secret-key": secrets.token_urlsafe(32)}
        self.site.apply(self._secret(state))
        for name, _ in self.real.beside:
            self.site.apply(*self._placed(name))
            self._wait(name)
            address = self.site.get("service", self.watched, name)["spec"]["clusterIP"]
            state |= {n: f"postgresql://langflow:{password}@{address}:5432/{n}" for n in self.services}
        self.site.apply(self._secret(state))

    def _secret(self, state: dict[str, str]) -> dict[str, Any]:
        meta = {"name": "state", "namespace": self.watched}
        return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": state}

    def _wait(self, *names: str) -> None:
        for name in names:
            which = (f"deployment/{name}", "-n", self.watched, f"--timeout={READY_S}s")
            self.site.kubectl("rollout", "status", *which)

    def _placed(self, name: str) -> list[dict[str, Any]]:
        """Read one file of the manifests, each Deployment with the image that belongs to it."""
        found = placed(HERE / "manifests" / f"{name}.yaml", self.image, (PREFIX, self.prefix))
        for deployment in (o for o in found if o["kind"] == "Deployment"):
            (container,) = deployment["spec"]["template"]["spec"]["containers"]
            container["image"] = dict(self.images)[deployment["metadata"]["name"]]
        return found

    def _start_load(self) -> None:
        program = Mounted.of("program", HERE, "memroll_real/*.py").beside(HERE.parent / "demo/service/load.py")
        self.site.apply(program.as_object(self.load))
        (pod,) = self._placed("load")
        targets = " ".join(f"{name}@{self.real.per_second:.3f}={self.url_of(name)}" for name in self.services)
        self.start_load(program.into(pod), TARGETS=targets, VISITS=self.real.visits)


@dataclass(frozen=True)
class Mounted:
    """A few source files in a ConfigMap, laid out as in their folder: no image has to be built for them."""

    name: str
    files: dict[str, str]

    @classmethod
    def of(cls, name: str, root: Path, pattern: str) -> Mounted:
        paths = sorted(root.glob(pattern))
        return cls(name, {str(path.relative_to(root)): path.read_text(encoding="utf-8") for path in paths})

    def beside(self, path: Path) -> Mounted:
        return Mounted(self.name, self.files | {path.name: path.read_text(encoding="utf-8")})

    def as_object(self, where: str) -> dict[str, Any]:
        data = {_key(path): text for path, text in self.files.items()}
        meta = {"name": self.name, "namespace": where}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}

    def into(self, found: dict[str, Any]) -> dict[str, Any]:
        """Let the volumes of a pod or a Deployment that are made from this ConfigMap have its folders."""
        spec = found["spec"] if found["kind"] == "Pod" else found["spec"].get("template", {}).get("spec", {})
        for volume in spec.get("volumes", []):
            if volume.get("configMap", {}).get("name") == self.name:
                volume["configMap"]["items"] = [{"key": _key(path), "path": path} for path in self.files]
        return found


def _key(path: str) -> str:
    return path.replace("/", "--")


def run(real: Real, seconds: float | None) -> int:
    """Play one; 0 when all that it promises held."""
    seconds = seconds or real.seconds
    steps = Steps()
    where = steps.cluster()
    stage = RealStage.of(where, real)
    steps.done(f"the images of {real.name}, as its users install it", "real_images_s")
    steps.operator(stage)
    stage.set_up()
    steps.done(f"{', '.join(stage.services)} under load", "services_s")
    facts = watch(stage, seconds)
    lives = memory.lives(where, stage.watched, steps.timings["services_s"] + seconds)
    found = judged(stage, facts, seconds)
    return conclude(facts, real, found, lives, steps.timings | {"run_s": seconds})


def judged(stage: RealStage, facts: Facts, seconds: float) -> list[Assertion]:
    """Say what the play promises, and whether it held."""
    rolls, ran = stage.site.rolls(stage.watched), stage.load_runs()
    found: list[Assertion] = []
    for program in stage.real.programs:
        service = facts.services[program.name]
        if program.leaks:
            found += report.protected(program.name, service, rolls_least=2)
            found += [lines_named(rolls, program.name), holder_named(rolls, program.name)]
        else:
            found += [report.innocent(program.name, service), report.never_killed(program.name, service)]
        found.append(report.served(program.name, service, report.Load(stage.real.per_second * seconds, ran)))
    return found


def lines_named(rolls: list[dict[str, Any]], service: str) -> Assertion:
    """Say whether the first line of each roll's evidence is one of those that allocate what is kept."""
    done = proof.succeeded(proof.of_service(rolls, service))
    firsts = [next((g["file"] for g in proof.growth(roll)), "nothing") for roll in done]
    ok = bool(firsts) and all(first.endswith(LINES) for first in firsts)
    why = "; ".join(filter(None, map(proof.missing, done)))
    detail = f"first is {', '.join(firsts) or 'no roll'}{f' ({why})' if why else ''}"
    return Assertion(f"the evidence of {service} names the lines that allocate what leaks", ok, detail)


def holder_named(rolls: list[dict[str, Any]], service: str) -> Assertion:
    """Say whether the evidence points at what pins the memory."""
    done = proof.succeeded(proof.of_service(rolls, service))
    pointing = [roll for roll in done if any(HOLDER in holder for holder in proof.holders(roll))]
    detail = f"{len(pointing)} of {len(done)} rolls say: {HOLDER}"
    return Assertion(f"the evidence of {service} names what holds on to it", bool(pointing), detail)


def conclude(facts: Facts, real: Real, found: list[Assertion], lives: list[Life], timings: dict[str, float]) -> int:
    """Show what a person would type and read, the evidence, the summary and the verdict."""
    where, watched = facts.stage.site, facts.stage.watched
    for command in (f"get mempol,podrolls -n {watched}", f"describe mempol -n {watched}"):
        print(f"\n$ kubectl {command}\n{where.kubectl(*command.split())}", flush=True)
    rolls = where.rolls(watched)
    for program in (p for p in real.programs if p.leaks):
        print(f"{proof.shown(rolls, program.name)}\n{proof.holders_shown(rolls, program.name)}\n")
    content = report.figures(
        facts.services, found, timings=timings, duration_s=timings["run_s"], cluster=where.versions(),
        lives=[life.figures() for life in lives],
    )  # fmt: skip
    build = site.ROOT / "build"
    report.write(build / f"demo-{real.name}.json", content)
    memory.draw(build / f"{real.name}.svg", lives)
    print(f"{report.table(facts.services)}\n\n{memory.table(lives)}\n\n{report.verdicts(found)}\n")
    print(f"build/{real.name}.svg shows the memory. `make demo-down` removes everything.")
    return 0 if content["passed"] else 1
