"""Builds the programs that Debian does not package, each from a Go module that pins its version. Called by prepare."""

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from localcluster.cache import Cache, hash_file, hash_parts
from localcluster.errors import ClusterError, CommandFailedError
from localcluster.kubernetes_version import DEFAULT, KubernetesVersion
from localcluster.paths import ClusterPaths
from localcluster.progress import Reporter
from localcluster.run import run

KUBERNETES = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubectl",
    "kubelet",
)
_FLAGS = ("-trimpath", "-mod=readonly", "-buildvcs=false")
ENVIRONMENT = {"CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off"}


@dataclass(frozen=True)
class Program:
    """Program built from a Go module folder. `links` are the names under which it is started.

    Its repr is part of the cache key: renaming the class or a field builds all programs again.
    """

    name: str
    package: str
    module: str
    variables: Mapping[str, str] = field(default_factory=dict)
    links: tuple[str, ...] = ()


PROGRAMS = (
    Program("pause", ".", ""),
    Program(
        "helm",
        "helm.sh/helm/v3/cmd/helm",
        "helm.sh/helm/v3",
        {"helm.sh/helm/v3/internal/version.version": "{version}"},
    ),
    Program(
        "kubernetes",
        ".",
        "k8s.io/kubernetes",
        {
            "k8s.io/component-base/version.gitVersion": "{version}",
            "k8s.io/component-base/version.gitMajor": "{major}",
            "k8s.io/component-base/version.gitMinor": "{minor}",
        },
        KUBERNETES,
    ),
)


def programs(kubernetes: KubernetesVersion) -> tuple[Program, ...]:
    """Return the programs of a cluster: the folder and the cache entries of a further version have its name."""
    return tuple(replace(one, name=kubernetes.folder) if one.name == DEFAULT.folder else one for one in PROGRAMS)


def build_all(paths: ClusterPaths, report: Reporter) -> dict[str, Path]:
    """Return the cache folder of every program; build the missing ones."""
    compiler = compiler_version(paths.source, paths.kubernetes)
    return {program.name: _build(program, paths, compiler, report) for program in programs(paths.kubernetes)}


def find_all(paths: ClusterPaths) -> dict[str, Path]:
    """Return the cache folders of the programs that are built."""
    if shutil.which("go") is None:
        return {}
    compiler = compiler_version(paths.source, paths.kubernetes)
    cache, wanted = Cache(paths.cache), programs(paths.kubernetes)
    entries = {p.name: cache.path(p.name, cache_key(p, paths.source / p.name, compiler)) for p in wanted}
    return {name: path for name, path in entries.items() if path.exists()}


def compiler_version(source: Path, kubernetes: KubernetesVersion = DEFAULT) -> str:
    required = required_version(source, kubernetes)
    if shutil.which("go") is None:
        raise ClusterError("there is no `go` on the PATH", f"install Go {required} or newer")
    text = run(["go", "version"], cwd=source, env={"GOWORK": "off"})
    found = re.search(r"\bgo(\d+(?:\.\d+)*)", text)
    if found is None or _numbers(found.group(1)) < _numbers(required):
        raise ClusterError(f"`go version` reports: {text.strip()}", f"install Go {required} or newer")
    return found.group(0)


def required_version(source: Path, kubernetes: KubernetesVersion = DEFAULT) -> str:
    texts = [(source / program.name / "go.mod").read_text() for program in programs(kubernetes)]
    return max((_directive(text, "go") for text in texts), key=_numbers)


def cache_key(program: Program, folder: Path, compiler: str) -> str:
    files = [path for path in sorted(folder.rglob("*")) if path.suffix in {".go", ".mod", ".sum"}]
    content = [f"{path.relative_to(folder)} {hash_file(path)}" for path in files]
    return hash_parts([compiler, *_FLAGS, repr(program), *content])


def link_flags(program: Program, go_mod: str) -> str:
    if not program.variables:
        return "-s -w"
    version = pinned_version(go_mod, program.module)
    number = version.removeprefix("v")
    major, minor, _ = number.split(".", 2)
    words = {"version": version, "number": number, "major": major, "minor": minor}
    values = {name: text.format(**words) for name, text in program.variables.items()}
    return " ".join(["-s -w", *(f"-X {name}={value}" for name, value in values.items())])


def pinned_version(go_mod: str, module: str) -> str:
    found = re.search(rf"^\s*(?:require\s+)?{re.escape(module)} (v\S+)", go_mod, re.MULTILINE)
    if found is None:
        raise ClusterError(f"go.mod does not pin {module}", "restore deploy/local from the repository")
    return found.group(1)


def _build(program: Program, paths: ClusterPaths, compiler: str, report: Reporter) -> Path:
    folder = paths.source / program.name
    cache = Cache(paths.cache)
    entry_key = cache_key(program, folder, compiler)
    entry = cache.find(program.name, entry_key)
    if entry is None:
        report(f"building {program.name} with {compiler}")
        entry = cache.make(program.name, entry_key, lambda output: _compile(program, folder, output))
        report(f"built {program.name}")
    return entry


def compile_program(program: Program, go_mod: str, source: Path, output: Path) -> None:
    """Compile a program in its source folder; `go_mod` pins the version that it reports."""
    flags, binary = link_flags(program, go_mod), output / program.name
    command: list[str | Path] = ["go", "build", *_FLAGS, "-ldflags", flags, "-o", binary, program.package]
    run(command, cwd=source, env=ENVIRONMENT)


def _compile(program: Program, folder: Path, output: Path) -> None:
    try:
        compile_program(program, (folder / "go.mod").read_text(), folder, output)
    except CommandFailedError as error:
        raise ClusterError(f"building {program.name} failed: {error}", "see the lines above") from error
    for link in program.links:
        (output / link).symlink_to(program.name)


def _directive(go_mod: str, name: str) -> str:
    found = re.search(rf"^{name} (\S+)$", go_mod, re.MULTILINE)
    if found is None:
        raise ClusterError(f"go.mod has no `{name}` line", "restore deploy/local from the repository")
    return found.group(1)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
