"""Temporary CA with a server and a client certificate."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Certificates:
    folder: Path

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    def certificate(self, holder: str) -> Path:
        return self.folder / f"{holder}.pem"

    def key(self, holder: str) -> Path:
        return self.folder / f"{holder}.key"

    def server_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(self.ca))
        context.load_cert_chain(self.certificate("server"), self.key("server"))
        return context


def make_certificates(folder: Path, *san: x509.GeneralName) -> Certificates:
    """Create a CA, a server certificate for these names (default: 127.0.0.1) and a client certificate."""
    made = Certificates(folder)
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca_name = _name("memroll test CA")
    authority = (
        _builder(ca_name, ca_name, ca_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(*[i in {5, 6} for i in range(9)]), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), critical=False)
    )
    made.ca.write_bytes(_pem(authority.sign(ca_key, hashes.SHA256())))
    names = san or (x509.IPAddress(ipaddress.ip_address("127.0.0.1")),)
    for holder in ("server", "client"):
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = (
            _builder(_name(holder), ca_name, key)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        )
        made.certificate(holder).write_bytes(_pem(leaf.sign(ca_key, hashes.SHA256())))
        made.key(holder).write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
    return made


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)  # noqa: TID251 - a certificate is valid by the wall clock
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
