import json
from pathlib import Path

import pytest

from localcluster import sysctl


def test_old_kernel_settings_are_recorded_once_and_restored(tmp_path: Path) -> None:
    forward = tmp_path / "net/ipv4/ip_forward"
    forward.parent.mkdir(parents=True)
    forward.write_text("0\n")
    record = tmp_path / "record.json"
    sysctl.ensure(record, tmp_path)
    sysctl.ensure(record, tmp_path)
    assert forward.read_text() == "1"
    assert json.loads(record.read_text()) == {"net/ipv4/ip_forward": "0"}
    sysctl.restore(record, tmp_path)
    assert forward.read_text() == "0"


@pytest.mark.parametrize("text", [None, "", "{"], ids=["absent", "empty", "half"])
def test_without_a_readable_record_no_kernel_setting_is_changed(tmp_path: Path, text: str | None) -> None:
    forward = tmp_path / "net/ipv4/ip_forward"
    forward.parent.mkdir(parents=True)
    forward.write_text("1")
    record = tmp_path / "record.json"
    if text is not None:
        record.write_text(text)
    sysctl.restore(record, tmp_path)
    assert forward.read_text() == "1"
