import subprocess
from pathlib import Path

import pytest

from localcluster import debian
from localcluster.errors import ClusterError


def test_missing_packages_are_found() -> None:
    lines = [f"installed {name}" for name in debian.PACKAGES if name not in {"runc", "etcd-server"}]
    assert debian.parse_missing("\n".join([*lines, "config-files runc", "installed bash"])) == ["etcd-server", "runc"]


def test_the_policy_file_blocks_service_starts_and_is_removed(tmp_path: Path) -> None:
    policy_file = tmp_path / "policy-rc.d"
    with debian.block_service_starts(policy_file):
        assert subprocess.run([policy_file], check=False).returncode == 101
    assert not policy_file.exists()


def test_the_policy_file_is_removed_when_the_installation_fails(tmp_path: Path) -> None:
    policy_file = tmp_path / "policy-rc.d"
    with pytest.raises(InterruptedError), debian.block_service_starts(policy_file):
        raise InterruptedError
    assert not policy_file.exists()


def test_an_existing_policy_file_is_left_unchanged(tmp_path: Path) -> None:
    policy_file = tmp_path / "policy-rc.d"
    policy_file.write_text("#!/bin/sh\nexit 0\n")
    with debian.block_service_starts(policy_file):
        assert policy_file.read_text() == "#!/bin/sh\nexit 0\n"
    assert policy_file.exists()


def test_the_mirror_is_that_of_the_suite_without_updates() -> None:
    text = (
        "http://mirror.test/security bookworm-security main\n"
        "http://mirror.test/debian/ bookworm contrib\n"
        "http://mirror.test/debian/ bookworm main\n"
    )
    assert debian.parse_archive(text) == debian.Archive("http://mirror.test/debian", "bookworm")


def test_without_a_mirror_of_the_suite_there_is_no_base_image() -> None:
    with pytest.raises(ClusterError, match="apt has no mirror of Debian bookworm; add one"):
        debian.parse_archive("http://mirror.test/debian trixie main\n")
