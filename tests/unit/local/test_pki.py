from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from localcluster import pki
from localcluster.paths import NETWORK

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "pki"
    pki.ensure(path, NETWORK, NOW)
    return path


def read(folder: Path, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((folder / f"{name}.crt").read_bytes())


def test_every_certificate_is_signed_by_the_one_authority(folder: Path) -> None:
    authority = read(folder, "ca")
    for request in pki.requests(NETWORK):
        certificate = read(folder, request.file)
        certificate.verify_directly_issued_by(authority)
        assert certificate.not_valid_before_utc < NOW < certificate.not_valid_after_utc


def test_the_api_server_s_certificate_is_valid_for_bridge_loopback_and_service(folder: Path) -> None:
    names = read(folder, "apiserver").extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    expected = [ip_address("127.0.0.1"), ip_address("10.231.0.1"), ip_address("10.232.0.1")]
    assert names.get_values_for_type(x509.IPAddress) == expected
    assert "kubernetes.default.svc" in names.get_values_for_type(x509.DNSName)


def test_a_client_certificate_cannot_serve(folder: Path) -> None:
    usage = read(folder, "prometheus").extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_only_the_administrator_and_the_api_server_are_in_system_masters(folder: Path) -> None:
    masters = {
        request.file
        for request in pki.requests(NETWORK)
        for group in read(folder, request.file).subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
        if group.value == "system:masters"
    }
    assert masters == {"admin", "apiserver-kubelet"}


def test_keys_are_readable_by_their_owner_only(folder: Path) -> None:
    keys = list(folder.glob("*.key"))
    assert len(keys) == len(pki.requests(NETWORK)) + 2
    assert {key.stat().st_mode & 0o777 for key in keys} == {0o600}


def test_a_second_time_changes_nothing(folder: Path) -> None:
    before = (folder / "ca.crt").read_bytes()
    pki.ensure(folder, NETWORK, NOW)
    assert (folder / "ca.crt").read_bytes() == before


def test_a_half_made_folder_of_a_killed_run_is_made_again(tmp_path: Path) -> None:
    half = tmp_path / ".pki-unfinished"
    half.mkdir()
    (half / "ca.crt").write_text("half")
    pki.ensure(tmp_path / "pki", NETWORK, NOW)
    assert read(tmp_path / "pki", "ca").subject == read(tmp_path / "pki", "ca").issuer
    assert not half.exists()
