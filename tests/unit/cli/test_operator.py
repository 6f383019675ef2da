"""`memroll operator`: configuration errors end the process with a message that names the cause."""

from __future__ import annotations

import pytest

from memroll.cli import operator


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HTTP_PORT", "0"),
        ("LEASE_SECONDS", "soon"),
        ("LOG_FORMAT", "xml"),
        ("ALLOW_ACTING", "maybe"),
        ("MAX_ROLLS_PER_HOUR", "-1"),
        ("MAX_NAMESPACE_SHARE", "0"),
        ("NAMESPACE_QUOTA", "half"),
    ],
)
def test_the_message_for_an_invalid_setting_names_variable_and_value(name, value, capsys):
    assert operator.run({f"MEMROLL_{name}": value}) == 2
    assert f"memroll operator: MEMROLL_{name}='{value}'" in capsys.readouterr().err


def test_the_message_for_a_missing_connections_file_names_its_path(tmp_path, capsys):
    path = tmp_path / "nowhere.yaml"
    assert operator.run({"MEMROLL_CONNECTIONS_FILE": str(path)}) == 2
    assert str(path) in capsys.readouterr().err
