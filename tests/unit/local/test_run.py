import sys
from pathlib import Path

import pytest

from localcluster.errors import CommandFailedError
from localcluster.run import run


def test_a_failed_command_is_an_error_with_its_code_and_its_last_lines() -> None:
    script = "for n in range(20): print(n)\nraise SystemExit(3)"
    with pytest.raises(CommandFailedError) as caught:
        run([sys.executable, "-c", script])
    lines = str(caught.value).splitlines()
    assert lines[0].startswith(f"`{sys.executable} -c ")
    assert "ended with code 3:" in str(caught.value)
    assert lines[-15:] == [f"  {n}" for n in range(5, 20)]


def test_a_missing_command_is_an_error() -> None:
    with pytest.raises(CommandFailedError, match="cannot run `/no/such`: No such file or directory"):
        run(["/no/such"])


def test_output_goes_to_the_log_and_an_error_has_its_end(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "a.log"
    with pytest.raises(CommandFailedError, match="last words"):
        run([sys.executable, "-c", "print('last words'); raise SystemExit(1)"], log=log)
    assert log.read_text() == "last words\n"
