"""The Prometheus that a command queries: that of the operator's file, or a given URL."""

from __future__ import annotations

import pytest

from memroll.cli.errors import InvalidArgumentError
from memroll.cli.prometheus_options import OperatorOptions, read_connections
from memroll.errors import TerminalError
from memroll.settings import Settings

CANARY = "c4n4ry"


def test_a_url_stands_for_all_connections_of_the_policies():
    found = read_connections(OperatorOptions(Settings(), "http://localhost:9090"), {"default", "eu"})
    assert {name: found.get(name).url for name in ("default", "eu")} == dict.fromkeys(
        ("default", "eu"), "http://localhost:9090"
    )


def test_an_invalid_url_is_refused_without_its_password():
    with pytest.raises(InvalidArgumentError) as caught:
        read_connections(OperatorOptions(Settings(), f"http://user:{CANARY}@localhost:9090"), {"default"})
    assert caught.value.message.startswith("--prometheus must not ")
    assert CANARY not in str(caught.value)


def test_the_operator_s_file_is_used(tmp_path):
    file = tmp_path / "connections.yaml"
    file.write_text("connections: {default: {url: 'http://prometheus:9090'}}")
    found = read_connections(OperatorOptions(Settings(connections_file=str(file))), {"default"})
    assert found.get("default").url == "http://prometheus:9090"
    with pytest.raises(TerminalError, match="No such file"):
        read_connections(OperatorOptions(Settings(connections_file=str(tmp_path / "none.yaml"))), set())


def test_without_either_the_remedy_is_named():
    with pytest.raises(InvalidArgumentError, match="give --prometheus URL"):
        read_connections(OperatorOptions(Settings()), set())
