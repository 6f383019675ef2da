"""Collects this machine's pip settings for an image build, so that `pip install` in a Dockerfile works as outside.

In: pip's configuration files and PIP_* variables, in pip's own order. Out: files that are mounted while the build runs;
none of them stays in the image. Called by images.
"""

import configparser
import io
import shutil
from collections.abc import Mapping
from pathlib import Path

# An empty folder of the base image, so that the mount leaves no trace in it.
INSIDE = Path("/mnt")
CONFIG_FILE = Path("/etc/pip.conf")
_CERTIFICATES = Path("/etc/ssl/certs")
_NOT_SETTINGS = frozenset({"PIP_CONFIG_FILE"})


def locations(environment: Mapping[str, str], home: Path) -> list[Path]:
    """Return pip's configuration files; later ones take precedence."""
    own = environment.get("PIP_CONFIG_FILE")
    if own == "/dev/null":
        return []
    config_home = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
    files = [Path("/etc/xdg/pip/pip.conf"), CONFIG_FILE, home / ".pip/pip.conf", config_home / "pip/pip.conf"]
    return [*files, Path(own)] if own else files


def settings(environment: Mapping[str, str], files: list[Path]) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser()
    parser.read(files)
    if not parser.has_section("global"):
        parser.add_section("global")
    for variable, value in environment.items():
        if variable.startswith("PIP_") and variable not in _NOT_SETTINGS and value:
            parser.set("global", variable.removeprefix("PIP_").lower().replace("_", "-"), value)
    return parser


def write(parser: configparser.RawConfigParser, folder: Path) -> Path:
    """Write pip.conf into a folder that will be mounted at INSIDE, with copies of the local files it refers to."""
    copied = folder / "files"
    copied.mkdir()
    for section in parser.sections():
        for option, value in parser.items(section):
            parser.set(section, option, _rewrite(value, copied))
    text = io.StringIO()
    parser.write(text)
    path = folder / "pip.conf"
    path.write_text(text.getvalue())
    return path


def mount_options(environment: Mapping[str, str], home: Path, folder: Path) -> list[str]:
    config = write(settings(environment, locations(environment, home)), folder)
    return ["--volume", f"{folder}:{INSIDE}:ro", "--volume", f"{config}:{CONFIG_FILE}:ro"]


def _rewrite(value: str, copied: Path) -> str:
    return "\n".join(" ".join(_copy_local(word, copied) for word in line.split(" ")) for line in value.split("\n"))


def _copy_local(word: str, copied: Path) -> str:
    """Copy a local file or folder into the mount and return its new path. Certificates are mounted at theirs."""
    source = Path(word.removeprefix("file://"))
    if not source.is_absolute() or source.is_relative_to(_CERTIFICATES) or not source.exists():
        return word
    target = copied / str(len(list(copied.iterdir())))
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copy2(source, target)
    return word.replace(str(source), str(INSIDE / target.relative_to(copied.parent)))
