"""Comparison of the server's version with the one that a test needs. Used by the fixtures of the end-to-end tests."""

from __future__ import annotations

import re


def reason_to_skip(server: str, needed: str, feature: str) -> str:
    """Return why a test can't run on the server, such as "v1.30.14+k3s1"; empty if it can."""
    if _numbers(server) >= _numbers(needed):
        return ""
    return f"{feature}: needs Kubernetes {needed}, the server has {server}"


def _numbers(version: str) -> tuple[int, int]:
    found = re.match(r"v?(\d+)\.(\d+)", version)
    if found is None:
        raise ValueError(f"{version!r} is not a version of Kubernetes")
    return int(found.group(1)), int(found.group(2))
