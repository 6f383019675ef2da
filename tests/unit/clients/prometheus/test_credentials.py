from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from memroll.clients.prometheus.config import Connection
from memroll.clients.prometheus.credentials import ConnectionsFile, Credentials, read_credentials, read_version
from memroll.errors import TerminalError

if TYPE_CHECKING:
    from pathlib import Path


def test_nothing_is_sent_unless_configured() -> None:
    assert read_credentials(Connection(url="http://p")) == Credentials("", ())


def test_secrets_are_never_shown(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cr3t\n")
    connection = Connection.model_validate(
        {"url": "http://p", "authorization": {"credentialsFile": str(tmp_path / "token")}}
    )
    found = read_credentials(connection)
    assert found.header == "Bearer s3cr3t"
    assert "s3cr3t" not in repr(found) + repr(connection) + connection.model_dump_json()
    assert found.redact("you sent Bearer s3cr3t") == "you sent Bearer ***"


def test_a_swapped_link_is_another_version(tmp_path: Path) -> None:
    """As the kubelet updates a mounted Secret: same name, same size, possibly the same second."""
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "token").write_text(name[:5])
    link = tmp_path / "data"
    link.symlink_to("first")
    before = read_version([link / "token"])
    assert read_version([link / "token"]) == before
    link.unlink()
    link.symlink_to("second")
    assert read_version([link / "token"]) != before


def test_a_missing_file_is_a_terminal_error(tmp_path: Path) -> None:
    with pytest.raises(TerminalError, match=r"ConnectionInvalid: .*none: No such file"):
        read_version([tmp_path / "none"])


def test_the_file_is_parsed_only_when_it_changed(tmp_path: Path) -> None:
    path = tmp_path / "connections.yaml"
    path.write_text("connections: {a: {url: 'http://p'}}")
    current = ConnectionsFile(path)
    first = current()
    assert current() is first
    path.write_text("connections: {a: {url: 'http://p'}, b: {url: 'http://q'}}")
    assert sorted(current().connections) == ["a", "b"]
    path.write_text("connections: {a: broken}")
    for _ in range(2):
        with pytest.raises(TerminalError):
            current()
