import configparser
from pathlib import Path

import pytest

from localcluster import pip_config


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        pytest.param({}, "/home/me/.config/pip/pip.conf", id="the user's file"),
        pytest.param({"XDG_CONFIG_HOME": "/xdg"}, "/xdg/pip/pip.conf", id="the folder of XDG_CONFIG_HOME"),
        pytest.param({"PIP_CONFIG_FILE": "/my.conf"}, "/my.conf", id="the file of PIP_CONFIG_FILE"),
    ],
)
def test_the_last_file_takes_precedence(environment: dict[str, str], expected: str) -> None:
    assert str(pip_config.locations(environment, Path("/home/me"))[-1]) == expected


def test_a_null_config_file_disables_all_files() -> None:
    assert pip_config.locations({"PIP_CONFIG_FILE": "/dev/null"}, Path("/home/me")) == []


def test_variables_take_precedence_over_files_and_unrelated_ones_are_ignored(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text("[global]\ntimeout = 1\nretries = 2\n[install]\npre = yes\n")
    environment = {"PIP_TIMEOUT": "9", "PIP_NO_CACHE_DIR": "1", "PIP_CONFIG_FILE": "x", "HOME": "/", "PIP_PROXY": ""}
    found = pip_config.settings(environment, [tmp_path / "a.conf"])
    assert dict(found["global"]) == {"timeout": "9", "retries": "2", "no-cache-dir": "1"}
    assert dict(found["install"]) == {"pre": "yes"}


def test_a_percent_sign_in_an_address_is_kept_as_it_is(tmp_path: Path) -> None:
    found = pip_config.settings({"PIP_INDEX_URL": "https://a%40b@example.test/simple"}, [])
    (tmp_path / "out").mkdir()
    assert "index-url = https://a%40b@example.test/simple" in pip_config.write(found, tmp_path / "out").read_text()


def test_local_files_are_copied_and_certificates_keep_their_path(tmp_path: Path) -> None:
    wheels, bundle, output = tmp_path / "wheels", tmp_path / "ca.pem", tmp_path / "out"
    wheels.mkdir()
    (wheels / "a.whl").write_text("wheel")
    bundle.write_text("certificate")
    output.mkdir()
    environment = {
        "PIP_FIND_LINKS": f"{wheels} https://example.test/links",
        "PIP_CERT": "/etc/ssl/certs/ca-certificates.crt",
        "PIP_CLIENT_CERT": str(bundle),
        "PIP_EXTRA_INDEX_URL": "/no/such/folder",
    }
    parser = configparser.RawConfigParser()
    parser.read(pip_config.write(pip_config.settings(environment, []), output))
    assert dict(parser["global"]) == {
        "find-links": "/mnt/files/0 https://example.test/links",
        "cert": "/etc/ssl/certs/ca-certificates.crt",
        "client-cert": "/mnt/files/1",
        "extra-index-url": "/no/such/folder",
    }
    assert (output / "files/0/a.whl").read_text() == "wheel"
    assert (output / "files/1").read_text() == "certificate"
