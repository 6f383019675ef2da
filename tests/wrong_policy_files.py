"""Wrong policies, each a file of tests/wrong_policies/ with the message that its author needs in its first lines.

# At admission: TEXT              the API server refuses it, and its message contains TEXT
# By the reader: TEXT             `memroll backtest --policy` refuses it with TEXT; by default that of the admission
# Accepted=False: REASON: TEXT    the API server accepts it, and the operator's condition contains TEXT
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from tests.texts import ROOT

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = ROOT / "tests/wrong_policies"
HEADER = re.compile(r"^# (At admission|By the reader|Accepted=False): (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class WrongPolicy:
    """One file: its manifest, and the expected messages."""

    name: str
    manifest: dict[str, Any]
    admission: str
    """Text in the API server's message; empty if it accepts the policy."""
    reader: str
    """Text in the reader's message; empty if it accepts the policy."""
    condition: tuple[str, str]
    """Reason and text of the condition Accepted; both empty if the API server refuses the policy."""

    @property
    def path(self) -> Path:
        return FOLDER / f"{self.name}.yaml"

    @property
    def spec(self) -> dict[str, Any]:
        spec: dict[str, Any] = self.manifest["spec"]
        return spec

    def in_namespace(self, namespace: str) -> dict[str, Any]:
        """Return the manifest for a namespace."""
        return self.manifest | {"metadata": self.manifest["metadata"] | {"namespace": namespace}}


def read_all() -> list[WrongPolicy]:
    return [_read(path.stem, path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.yaml"))]


def _read(name: str, text: str) -> WrongPolicy:
    expected = dict(HEADER.findall(text))
    admission = expected.get("At admission", "")
    reason, _, message = expected.get("Accepted=False", "").partition(": ")
    return WrongPolicy(
        name, yaml.safe_load(text), admission, expected.get("By the reader", admission), (reason, message)
    )


ALL = read_all()
REFUSED = [wrong for wrong in ALL if wrong.admission]
NOT_ACCEPTED = [wrong for wrong in ALL if not wrong.admission]
