"""The self-extracting archive: its start checks the Python, and its krew manifest fits it."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import sysconfig
import zipfile

import yaml

from memroll_release import archive as build

HERE, PLATFORM = f"{sys.version_info[0]}.{sys.version_info[1]}", sysconfig.get_platform()


def archive(folder, version, platform=PLATFORM):
    path = folder / "memroll.pyz"
    with path.open("wb") as file:
        file.write(b"#!/usr/bin/env python3\n")
        with zipfile.ZipFile(file, "w") as packed:
            packed.writestr("__main__.py", "import sys\nprint('started', sys.argv[1:])\n")
            packed.writestr("data.txt", "kept")
    build.add_check(path, build.check_text(version, platform))
    return path


def start(path, **environment: str):
    command = [sys.executable, path, "status", "-A"]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)


def test_the_python_that_it_was_built_for_starts_it(tmp_path):
    path = archive(tmp_path, HERE)
    assert start(path).stdout == "started ['status', '-A']\n"
    assert path.read_bytes().startswith(b"#!/usr/bin/env python3\n")
    assert os.access(path, os.X_OK)
    assert zipfile.ZipFile(path).read("data.txt") == b"kept"


def test_another_python_is_named_with_the_remedy(tmp_path):
    ended = start(archive(tmp_path, "3.99"), PATH="")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == (
        f"memroll: this file needs python3.99, and this is Python {HERE}: install python3.99, "
        "or build one for your Python: make dist ONLY=command PYTHON=/path/to/python3\n"
    )


def test_the_right_python_is_started_if_it_is_there(tmp_path):
    other = tmp_path / "python3.99"
    other.write_text('#!/bin/sh\necho "other $@"\n')
    other.chmod(0o755)
    path = archive(tmp_path, "3.99")
    assert start(path, PATH=f"{tmp_path}:/usr/bin:/bin").stdout == f"other {path} status -A\n"


def test_another_platform_is_named(tmp_path):
    ended = start(archive(tmp_path, HERE, "linux-vax"))
    assert f"is for linux-vax, and this is {PLATFORM}" in ended.stderr


def test_the_krew_manifest_has_the_address_and_the_digest_of_the_file(tmp_path):
    packed = tmp_path / "memroll-1-x.tar.gz"
    packed.write_bytes(b"content")
    manifest = yaml.safe_load(build.krew_manifest(packed, "1.2.3", "3.12", "https://host/releases/"))
    assert manifest["spec"]["version"] == "v1.2.3"
    (platform,) = manifest["spec"]["platforms"]
    assert platform["uri"] == "https://host/releases/memroll-1-x.tar.gz"
    assert platform["sha256"] == hashlib.sha256(b"content").hexdigest()
    assert platform["bin"] in {file["from"] for file in platform["files"]}
    assert "Needs Python 3.12 " in manifest["spec"]["caveats"]
