"""Command line of the driver: parses the arguments and calls the module of the command."""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from localcluster import argo_rollouts, go_build, images, kubernetes_version, preflight, status, supervisor
from localcluster.components import Component, all_components, optional_components
from localcluster.down import down
from localcluster.errors import ClusterError
from localcluster.images import BuildMachine, ImageBuild
from localcluster.lock import exclusive
from localcluster.paths import ClusterPaths
from localcluster.progress import Progress, Reporter
from localcluster.run import interrupt
from localcluster.up import LISTEN_SECONDS, up

EXIT_OK, EXIT_ERROR, EXIT_DOWN, EXIT_INTERRUPTED = 0, 2, 3, 130


def main(argv: Sequence[str] | None = None, environment: Mapping[str, str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    machine = BuildMachine(os.environ if environment is None else environment, Path.home())
    try:
        return dispatch(arguments, find_paths(machine), machine, Progress())
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_ERROR
    except KeyboardInterrupt:
        interrupt()
        print("error: interrupted; `up` goes on where it stopped, `down` cleans up", file=sys.stderr)
        return EXIT_INTERRUPTED


def find_paths(machine: BuildMachine) -> ClusterPaths:
    paths = ClusterPaths.from_environment(machine.environment, machine.home)
    return replace(paths, kubernetes=kubernetes_version.select(paths.source, paths.state, machine.environment))


def dispatch(arguments: argparse.Namespace, paths: ClusterPaths, machine: BuildMachine, report: Reporter) -> int:
    match arguments.command:
        case "up":
            up(paths, report, datetime.now(UTC))  # noqa: TID251  # the only place of the driver that reads the clock
        case "down":
            down(paths, report, purge=arguments.purge)
        case "status":
            return show_status(paths, as_json=arguments.json)
        case "load-image":
            images.load(paths, images.qualify_name(arguments.name), arguments.archive, report)
        case "build-image":
            images.build(paths, _image_build(arguments), machine, report)
        case "build":
            print(argo_rollouts.build(paths, report))
        case "start" | "stop":
            switch(paths, arguments.component, report, running=arguments.command == "start")
        case _:
            print(find_program(paths, arguments.name))
    return EXIT_OK


def show_status(paths: ClusterPaths, *, as_json: bool) -> int:
    current = status.read(paths)
    print(json.dumps(current.as_json()) if as_json else current.as_text())
    return EXIT_OK if current.up else EXIT_DOWN


def switch(paths: ClusterPaths, name: str, report: Reporter, *, running: bool) -> None:
    preflight.require_root()
    component = _find_component(paths, name)
    if running and name == argo_rollouts.PROGRAM.name:
        argo_rollouts.build(paths, report)  # before the lock: it takes minutes
    with exclusive(paths.lock, report):
        if running:
            if name == argo_rollouts.PROGRAM.name:
                argo_rollouts.install(paths, report)
            supervisor.start(paths, component)
            supervisor.wait_listening(paths, component, LISTEN_SECONDS)
        else:
            supervisor.stop(paths, [component])
    report(f"{name} is {'running' if running else 'stopped'}")


def find_program(paths: ClusterPaths, name: str) -> Path:
    """Return the path of a program: in the cluster's folder, or in the cache while the cluster is down."""
    if name in status.PROGRAMS:
        for folder in _program_folders(paths):
            if (folder / name).exists():
                return folder / name
    raise ClusterError(f"there is no program {name}", f"run `up`; then there are {', '.join(status.PROGRAMS)}")


def _program_folders(paths: ClusterPaths) -> Iterator[Path]:
    yield paths.bin
    yield from go_build.find_all(paths).values()
    yield Path("/usr/bin")


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="localcluster", description="A one-node Kubernetes cluster on this machine.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("up", help="bring the cluster up; safe to repeat")
    command = commands.add_parser("down", help="stop the cluster and remove all of it but the build caches")
    command.add_argument("--purge", action="store_true", help="remove the build caches, too")
    command = commands.add_parser("status", help="show the components; exit code 0 when up, 3 when down")
    command.add_argument("--json", action="store_true", help="print one JSON object")
    command = commands.add_parser("load-image", help="load an image from buildah or from an archive into the node")
    command.add_argument("name")
    command.add_argument("--archive", type=Path, help="an OCI archive")
    command = commands.add_parser("build-image", help="build an image from a Dockerfile and load it into the node")
    command.add_argument("name")
    command.add_argument("--file", type=Path, required=True, help="the Dockerfile")
    command.add_argument("--context", type=Path, required=True, help="the folder that COPY copies from")
    command.add_argument("--build-arg", action="append", default=[], metavar="K=V")
    command = commands.add_parser("build", help="build an optional component, which `start` would build otherwise")
    command.add_argument("component", choices=[argo_rollouts.PROGRAM.name])
    for verb in ("start", "stop"):
        commands.add_parser(verb, help=f"{verb} one component").add_argument("component")
    commands.add_parser("bin", help="print the path of a program").add_argument("name", help=", ".join(status.PROGRAMS))
    return top


def _image_build(arguments: argparse.Namespace) -> ImageBuild:
    pairs = dict(_parse_build_arg(text) for text in arguments.build_arg)
    context = arguments.context.resolve()
    return ImageBuild(images.qualify_name(arguments.name), arguments.file.resolve(), context, pairs)


def _parse_build_arg(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ClusterError(f"--build-arg {text} has no value", "write it as NAME=VALUE")
    return name, value


def _find_component(paths: ClusterPaths, name: str) -> Component:
    components = all_components(paths) | optional_components(paths)
    if name not in components:
        raise ClusterError(f"there is no component {name}", f"there are {', '.join(components)}")
    return components[name]
