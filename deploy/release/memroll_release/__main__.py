"""Command line of `make dist`: builds the parts of a release, or checks that a tag can be released."""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial
from pathlib import Path

from memroll_release import chart, command, image, sbom, wheel
from memroll_release.parts import Part, build_parts
from memroll_release.release import ROOT, Options, ReleaseError, find_tag_errors, read_release

PARTS = (
    Part("wheel", wheel.PATTERNS, wheel.build_wheels),
    Part("command", command.PATTERNS, command.build_command, command.find_missing),
    Part("chart", chart.PATTERNS, chart.build_chart, chart.find_missing),
    Part("image", image.PATTERNS, image.build_image, image.find_missing),
    Part("sbom", sbom.PATTERNS, sbom.build_sboms),
)
"""Parts in the order in which they are built: the SBOM reads the image."""
EXIT_ERROR = 2


def main(words: list[str] | None = None) -> int:
    arguments = _parser().parse_args(words)
    options = Options(
        python=arguments.python, release_url=arguments.release_url, image=arguments.image, base=arguments.base
    )
    try:
        release = read_release(ROOT, arguments.dist, options, os.environ)
    except ReleaseError as error:
        return _fail([str(error)])
    errors = find_tag_errors(release, arguments.tag) if arguments.tag else []
    only = arguments.only.replace(",", " ").split()
    report = partial(print, flush=True)
    errors = errors or build_parts(PARTS, only, release, report)
    if errors:
        return _fail(errors)
    print((arguments.dist / "SHA256SUMS").read_text(encoding="utf-8"), end="")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make dist", description="Build the files of a release.")
    parser.add_argument("--dist", type=Path, default=ROOT / "dist", help="folder of the files")
    parser.add_argument("--only", default="", help=f"parts to build: {', '.join(part.name for part in PARTS)}")
    parser.add_argument("--tag", default="", help="fail unless the repository is ready for this tag")
    defaults = Options()
    parser.add_argument("--python", default=defaults.python, help="Python that is going to run the command")
    parser.add_argument("--release-url", default=defaults.release_url, help="address of the files, for krew")
    parser.add_argument("--image", default=defaults.image, help="published repository of the image, for the chart")
    parser.add_argument("--base", default=defaults.base, help="base image")
    return parser


def _fail(errors: list[str]) -> int:
    for error in errors:
        print(f"error: {error}", file=sys.stderr)
    return EXIT_ERROR


if __name__ == "__main__":
    sys.exit(main())
