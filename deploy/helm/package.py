"""Package the chart, completed with what the repository does not contain: addresses, people, and the image.

`make chart` calls it, with one variable for each; what is empty is left out. Links of the README to the repository's
docs become addresses below `--docs`, or text without it.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CHART = HERE / "memroll"
DOCS_ANNOTATION = "memroll.dev/docs"
"""Annotation from which the chart takes the address of the runbooks."""
DOCS_LINK = re.compile(r"\[([^\]]+)\]\(\.\./\.\./\.\./docs/([^)\s]+)\)")
PERSON = re.compile(r"\s*([^<>,]+?)\s*(?:<([^<>]+)>)?\s*")


class PackageError(Exception):
    """Nothing was packaged; the message contains the reason and the remedy."""


@dataclass(frozen=True, slots=True)
class Publication:
    """What the repository does not contain; each may be empty."""

    home: str = ""
    source: str = ""
    docs: str = ""
    """Address of the folder `docs` of this version."""
    maintainers: str = ""
    """`Name <email or address>`, several with commas."""
    image: str = ""
    """Repository of the published image."""


def main(arguments: list[str] | None = None) -> int:
    """Package the chart into a folder, and print the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    for name in Publication.__dataclass_fields__:
        parser.add_argument(f"--{name}", default="")
    options = vars(parser.parse_args(arguments))
    folder: Path = options.pop("folder")
    try:
        print(package(Publication(**options), folder, find_helm()))
    except PackageError as error:
        print(f"make chart: {error}", file=sys.stderr)
        return 1
    return 0


def package(publication: Publication, folder: Path, helm: str) -> Path:
    """Package a completed copy of the chart; return the file."""
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / CHART.name
        shutil.copytree(CHART, copy)
        chart = complete(read_yaml(CHART / "Chart.yaml"), publication)
        text = yaml.safe_dump(chart, sort_keys=False, allow_unicode=True, width=1000)
        (copy / "Chart.yaml").write_text(text, encoding="utf-8")
        edit(copy / "README.md", lambda text: name_image(link_docs(text, publication.docs), publication.image))
        edit(copy / "values.yaml", lambda text: name_image(text, publication.image))
        shutil.copy(ROOT / "LICENSE", copy / "LICENSE")
        folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            [helm, "package", str(copy), "--destination", str(folder)], capture_output=True, text=True, check=False
        )
    if done.returncode:
        raise PackageError(f"helm package failed: {done.stderr.strip()}")
    return folder / f"{chart['name']}-{chart['version']}.tgz"


def complete(chart: dict[str, Any], publication: Publication) -> dict[str, Any]:
    """Return the content of Chart.yaml with everything that is known."""
    links = [
        {"name": name, "url": url}
        for name, url in (("Documentation", publication.docs), ("Source", publication.source))
        if url
    ]
    image = f"{publication.image}:{chart['appVersion']}" if publication.image else ""
    annotations = {
        DOCS_ANNOTATION: publication.docs,
        "artifacthub.io/links": as_yaml(links),
        "artifacthub.io/images": as_yaml([{"name": "memroll", "image": image}] if image else []),
    }
    fields = {
        "home": publication.home,
        "sources": [publication.source] if publication.source else [],
        "maintainers": read_maintainers(publication.maintainers),
    }
    known = {name: value for name, value in fields.items() if value}
    added = {name: value for name, value in annotations.items() if value}
    return chart | known | {"annotations": chart["annotations"] | added}


def read_maintainers(text: str) -> list[dict[str, str]]:
    """Return the maintainers as Helm wants them: a name each, and an email or an address."""
    people = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = PERSON.fullmatch(part)
        if match is None:
            raise PackageError(f"MAINTAINERS: {part!r} is not 'Name', 'Name <email>' or 'Name <https://address>'")
        name, contact = match.groups()
        people.append({"name": name} | ({_kind_of(contact): contact} if contact else {}))
    return people


def _kind_of(contact: str) -> str:
    return "url" if "://" in contact else "email"


def link_docs(text: str, docs: str) -> str:
    """Return the README with links that do not need the repository around it."""

    def link(match: re.Match[str]) -> str:
        label, target = match.groups()
        if docs:
            return f"[{label}]({docs.rstrip('/')}/{target})"
        path = f"docs/{target.partition('#')[0]}"
        return path if label == path else f"{label} ({path})"

    return DOCS_LINK.sub(link, text)


def name_image(text: str, image: str) -> str:
    """Return values.yaml or its table in the README with the published image as the default."""
    if not image:
        return text
    text = re.sub(r"(?m)^(  repository: )memroll$", lambda m: m[1] + image, text)
    return text.replace('| `image.repository` | `"memroll"` |', f'| `image.repository` | `"{image}"` |')


def edit(file: Path, change: Callable[[str], str]) -> None:
    file.write_text(change(file.read_text(encoding="utf-8")), encoding="utf-8")


def read_yaml(file: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return loaded


def as_yaml(items: list[dict[str, str]]) -> str:
    return yaml.safe_dump(items, sort_keys=False, width=1000) if items else ""


def find_helm() -> str:
    """Return the path of Helm: from HELM, the PATH or the local cluster's folder."""
    local = [sys.executable, "-m", "localcluster", "bin", "helm"]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "deploy/local")}
    found = os.environ.get("HELM") or shutil.which("helm")
    if not found:
        done = subprocess.run(local, capture_output=True, text=True, check=False, env=environment)
        found = done.stdout.strip() if done.returncode == 0 else ""
    if not found:
        raise PackageError("there is no helm: set HELM, put it on the PATH, or run `make cluster-up`, which builds it")
    return found


if __name__ == "__main__":
    sys.exit(main())
