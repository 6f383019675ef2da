"""Keys and certificates of the cluster: created once, all signed by one authority. Called by up."""

import ipaddress
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from localcluster.paths import CLUSTER_DOMAIN, NODE, Network

LIFETIME = timedelta(days=3650)
# Valid also on a node whose clock is set back a little.
BACKDATED = timedelta(hours=1)
FRONT_PROXY = "front-proxy-client"
PROMETHEUS = "memroll-local-prometheus"


@dataclass(frozen=True)
class CertificateRequest:
    """File name, subject (common name and group) and server names of one certificate."""

    file: str
    name: str
    group: str = ""
    server_names: tuple[str, ...] = ()


@dataclass(frozen=True)
class KeyPair:
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate


def requests(network: Network) -> list[CertificateRequest]:
    api = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", f"kubernetes.default.svc.{CLUSTER_DOMAIN}"]
    address = str(network.address)
    return [
        CertificateRequest(
            "apiserver", "kube-apiserver", server_names=(*api, "127.0.0.1", address, str(network.api_service))
        ),
        CertificateRequest("apiserver-kubelet", "kube-apiserver-kubelet-client", "system:masters"),
        CertificateRequest("etcd", "etcd", server_names=("127.0.0.1",)),
        CertificateRequest("front-proxy", FRONT_PROXY),
        CertificateRequest("kubelet-server", NODE, server_names=(NODE, address)),
        CertificateRequest("kubelet", f"system:node:{NODE}", "system:nodes"),
        CertificateRequest("controller-manager", "system:kube-controller-manager"),
        CertificateRequest("scheduler", "system:kube-scheduler"),
        CertificateRequest("proxy", "system:kube-proxy"),
        CertificateRequest("prometheus", PROMETHEUS),
        CertificateRequest("admin", "memroll-local-admin", "system:masters"),
    ]


def ensure(folder: Path, network: Network, now: datetime) -> None:
    """Create the folder if it is missing. It appears complete or not at all."""
    if folder.exists():
        return
    unfinished = folder.with_name(f".{folder.name}-unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True, mode=0o700)
    authority = _authority(now)
    _write(unfinished, "ca", authority)
    for request in requests(network):
        _write(unfinished, request.file, _issue(request, authority, now))
    _write_account_key(unfinished)
    unfinished.rename(folder)


def _authority(now: datetime) -> KeyPair:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("memroll-local-ca", "")
    builder = _builder(name, name, key, now)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    return KeyPair(key, builder.sign(key, hashes.SHA256()))


def _issue(request: CertificateRequest, authority: KeyPair, now: datetime) -> KeyPair:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(_name(request.name, request.group), authority.certificate.subject, key, now)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
    purposes = [ExtendedKeyUsageOID.CLIENT_AUTH]
    if request.server_names:
        purposes.append(ExtendedKeyUsageOID.SERVER_AUTH)
        builder = builder.add_extension(
            x509.SubjectAlternativeName(_server_names(request.server_names)), critical=False
        )
    builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    return KeyPair(key, builder.sign(authority.key, hashes.SHA256()))


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now.astimezone(UTC) - BACKDATED)
        .not_valid_after(now.astimezone(UTC) + LIFETIME)
    )


def _name(common: str, group: str) -> x509.Name:
    organization = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group)] if group else []
    return x509.Name([*organization, x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _server_names(names: Iterable[str]) -> list[x509.GeneralName]:
    return [_general_name(name) for name in names]


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=not signs_certificates,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _write(folder: Path, name: str, pair: KeyPair) -> None:
    certificate = pair.certificate.public_bytes(serialization.Encoding.PEM)
    (folder / f"{name}.crt").write_bytes(certificate)
    _write_key(folder / f"{name}.key", pair.key)


def _write_account_key(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    _write_key(folder / "service-accounts.key", key)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (folder / "service-accounts.pub").write_bytes(public)


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    text = key.private_bytes(
        serialization.Encoding.PEM,
        # Go reads both forms; the service account controller requires the older one.
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(text)
