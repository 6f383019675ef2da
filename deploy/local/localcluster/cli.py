"""The command line: what was asked for, handed to the module that does it."""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from localcluster import golang, images, preflight, process, status
from localcluster.components import Component, all_components
from localcluster.down import down
from localcluster.errors import ClusterError
from localcluster.images import Build, Machine
from localcluster.layout import Layout
from localcluster.lock import exclusive
from localcluster.report import Progress, Report
from localcluster.run import interrupt
from localcluster.up import LISTEN_SECONDS, up

EXIT_OK, EXIT_ERROR, EXIT_DOWN, EXIT_INTERRUPTED = 0, 2, 3, 130


def main(argv: Sequence[str] | None = None, environment: Mapping[str, str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    machine = Machine(os.environ if environment is None else environment, Path.home())
    layout = Layout.from_environment(machine.environment, machine.home)
    try:
        return dispatch(arguments, layout, machine, Progress())
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_ERROR
    except KeyboardInterrupt:
        interrupt()
        print("error: interrupted; `up` goes on where it stopped, `down` cleans up", file=sys.stderr)
        return EXIT_INTERRUPTED


def dispatch(arguments: argparse.Namespace, layout: Layout, machine: Machine, report: Report) -> int:
    match arguments.command:
        case "up":
            up(layout, report, datetime.now(UTC))  # noqa: TID251  # the one place here that reads the calendar
        case "down":
            down(layout, report, purge=arguments.purge)
        case "status":
            return show_status(layout, as_json=arguments.json)
        case "load-image":
            images.load(layout, images.qualified(arguments.name), arguments.archive, report)
        case "build-image":
            images.build(layout, _build(arguments), machine, report)
        case "start" | "stop":
            switch(layout, arguments.component, report, running=arguments.command == "start")
        case _:
            print(program(layout, arguments.name))
    return EXIT_OK


def show_status(layout: Layout, *, as_json: bool) -> int:
    found = status.read(layout)
    print(json.dumps(found.as_json()) if as_json else found.as_text())
    return EXIT_OK if found.up else EXIT_DOWN


def switch(layout: Layout, name: str, report: Report, *, running: bool) -> None:
    preflight.require_root()
    component = _component(layout, name)
    with exclusive(layout.lock, report):
        if running:
            process.start(layout, component)
            process.wait_listening(layout, component, LISTEN_SECONDS)
        else:
            process.stop(layout, [component])
    report(f"{name} is {'running' if running else 'stopped'}")


def program(layout: Layout, name: str) -> Path:
    """Where a program is: beside the cluster, or, while that is down, in the cache."""
    if name in status.PROGRAMS:
        for folder in _program_folders(layout):
            if (folder / name).exists():
                return folder / name
    raise ClusterError(f"there is no program {name}", f"run `up`; then there are {', '.join(status.PROGRAMS)}")


def _program_folders(layout: Layout) -> Iterator[Path]:
    yield layout.bin
    yield from golang.find_all(layout).values()
    yield Path("/usr/bin")


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="localcluster", description="A one-node Kubernetes cluster on this machine.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("up", help="bring the cluster up; safe to repeat")
    one = commands.add_parser("down", help="stop the cluster and remove all of it but the build caches")
    one.add_argument("--purge", action="store_true", help="remove the build caches as well")
    one = commands.add_parser("status", help="what is running; exit code 0 when up, 3 when down")
    one.add_argument("--json", action="store_true", help="one JSON object")
    one = commands.add_parser("load-image", help="give the node an image of buildah's, or of an archive")
    one.add_argument("name")
    one.add_argument("--archive", type=Path, help="an OCI archive")
    one = commands.add_parser("build-image", help="build an image from a Dockerfile and give it to the node")
    one.add_argument("name")
    one.add_argument("--file", type=Path, required=True, help="the Dockerfile")
    one.add_argument("--context", type=Path, required=True, help="the folder that COPY copies from")
    one.add_argument("--build-arg", action="append", default=[], metavar="K=V")
    for verb in ("start", "stop"):
        commands.add_parser(verb, help=f"{verb} one component").add_argument("component")
    commands.add_parser("bin", help="print where a program is").add_argument("name", help=", ".join(status.PROGRAMS))
    return top


def _build(arguments: argparse.Namespace) -> Build:
    pairs = dict(_pair(text) for text in arguments.build_arg)
    context = arguments.context.resolve()
    return Build(images.qualified(arguments.name), arguments.file.resolve(), context, pairs)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ClusterError(f"--build-arg {text} has no value", "write it as NAME=VALUE")
    return name, value


def _component(layout: Layout, name: str) -> Component:
    components = all_components(layout)
    if name not in components:
        raise ClusterError(f"there is no component {name}", f"there are {', '.join(components)}")
    return components[name]
