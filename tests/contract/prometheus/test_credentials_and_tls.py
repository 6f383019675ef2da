"""Credentials reach the server and nobody else; TLS is verified; both rotate without a restart."""

from __future__ import annotations

import base64
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509

from memroll.clients.prometheus.client import PrometheusProvider
from memroll.clients.prometheus.credentials import ConnectionsFile
from memroll.detection.samples import Span
from memroll.errors import MemrollError, Stalled
from tests.contract.prometheus.certificates import Certificates, make_certificates
from tests.contract.prometheus.scripted import Exchange, Scripted, matrix, says

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.contract.prometheus.conftest import Opens


async def outcome_of(provider: PrometheusProvider) -> tuple[str, str]:
    """The reason and message of a read; the reason is empty when it succeeded."""
    try:
        await provider.read("default", "ai", ["chat-1"], Span(90.0, None), 1020.0)
    except MemrollError as error:
        return error.reason, error.message
    return "", ""


def wants(header: str) -> Callable[[Exchange], None]:
    def answer(exchange: Exchange) -> None:
        known = exchange.headers.get("Authorization") == header
        (matrix() if known else says(401, "who are you?"))(exchange)

    return answer


def written(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


async def test_a_token_is_sent_and_rotates(
    serving: Callable[..., Scripted], provider_of: Opens, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    server = serving(wants("Bearer first"))
    provider = provider_of(server.url, authorization={"credentialsFile": written(token, "first\n")})
    assert await outcome_of(provider) == ("", "")
    server.script[:] = [wants("Bearer second")]
    reason, message = await outcome_of(provider)
    assert reason == "Unauthorized"
    assert "first" not in message
    fresh = tmp_path / "fresh"
    fresh.write_text("second\n")
    fresh.replace(token)  # the way a mounted Secret changes: another file under the same name
    assert await outcome_of(provider) == ("", "")


async def test_a_password_is_sent(serving: Callable[..., Scripted], provider_of: Opens, tmp_path: Path) -> None:
    pair = base64.b64encode("reader:pass wörd:1".encode()).decode()
    basic = {"username": "reader", "passwordFile": written(tmp_path / "password", "pass wörd:1")}
    assert await outcome_of(provider_of(serving(wants(f"Basic {pair}")).url, basicAuth=basic)) == ("", "")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        pytest.param(None, "No such file or directory", id="is missing"),
        pytest.param("", "must hold one line of printable UTF-8", id="is empty"),
        pytest.param("a\nX-Injected: b", "must hold one line of printable UTF-8", id="holds two lines"),
        pytest.param("tökén", "a token is ASCII", id="can't be a header"),
        pytest.param("x" * 20_000, "must hold one line of printable UTF-8", id="is far too long"),
    ],
)
async def test_a_bad_secret_stalls_and_is_named_by_its_file(
    provider_of: Opens, tmp_path: Path, content: str | None, text: str
) -> None:
    token = tmp_path / "token"
    if content is not None:
        token.write_text(content)
    provider = provider_of("http://127.0.0.1:1", authorization={"credentialsFile": str(token)})
    assert await outcome_of(provider) == ("ConnectionInvalid", f"{token}: {text}")


async def test_a_connection_changes_while_running(serving: Callable[..., Scripted], tmp_path: Path) -> None:
    one, other = serving(matrix()), serving(matrix())
    file = tmp_path / "connections.yaml"
    file.write_text(f"connections: {{default: {{url: '{one.url}'}}}}")
    provider = PrometheusProvider(ConnectionsFile(file))
    assert await outcome_of(provider) == ("", "")
    assert await outcome_of(provider) == ("", "")
    assert (len(one.requests), len(other.requests)) == (8, 0)
    file.write_text(f"connections: {{default: {{url: '{other.url}', timeoutSeconds: 5}}}}")
    assert await outcome_of(provider) == ("", "")
    assert (len(one.requests), len(other.requests)) == (8, 4)
    file.write_text("connections: {default: {url: ''}}")
    assert (await outcome_of(provider))[0] == "ConnectionInvalid"
    provider.close()


def tls(made: Certificates, **fields: Any) -> dict[str, Any]:
    return {"tls": {"caFile": str(made.ca), **fields}}


async def test_an_own_authority_is_trusted(
    serving: Callable[..., Scripted], provider_of: Opens, certificates: Certificates
) -> None:
    server = serving(matrix(), certificates=certificates)
    assert await outcome_of(provider_of(server.url, **tls(certificates))) == ("", "")


async def test_an_unknown_authority_is_refused_and_gets_no_credentials(
    serving: Callable[..., Scripted], provider_of: Opens, certificates: Certificates, tmp_path: Path
) -> None:
    server = serving(matrix(), certificates=certificates)
    token = written(tmp_path / "token", "t0ken")
    reason, message = await outcome_of(provider_of(server.url, authorization={"credentialsFile": token}))
    assert reason == "TLSVerifyFailed"
    assert message == (
        f"TLS with {server.host} failed (self-signed certificate in certificate chain): "
        "check tls.caFile, certFile and serverName"
    )
    assert server.requests == []


async def test_verification_is_skipped_only_when_asked(
    serving: Callable[..., Scripted], provider_of: Opens, certificates: Certificates
) -> None:
    server = serving(matrix(), certificates=certificates)
    assert await outcome_of(provider_of(server.url, tls={"insecureSkipVerify": True})) == ("", "")


async def test_the_certificate_must_hold_the_host_or_the_server_name(
    serving: Callable[..., Scripted], provider_of: Opens, tmp_path: Path
) -> None:
    made = make_certificates(tmp_path, x509.DNSName("prometheus.monitoring.svc"))
    server = serving(matrix(), certificates=made)
    reason, message = await outcome_of(provider_of(server.url, **tls(made)))
    assert (reason, "127.0.0.1" in message) == ("TLSVerifyFailed", True)
    assert await outcome_of(provider_of(server.url, **tls(made, serverName="prometheus.monitoring.svc"))) == ("", "")
    odd = f"{server.url}/%7Eme"  # requests writes it as ~me
    assert await outcome_of(provider_of(odd, **tls(made, serverName="prometheus.monitoring.svc"))) == ("", "")
    reason, message = await outcome_of(provider_of(server.url, **tls(made, serverName="other.svc")))
    assert (reason, "certificate is not valid for 'other.svc'" in message) == ("TLSVerifyFailed", True)


async def test_a_client_certificate_is_shown(
    serving: Callable[..., Scripted], provider_of: Opens, certificates: Certificates
) -> None:
    server = serving(matrix(), certificates=certificates, client_certificate=True)
    pair = {"certFile": str(certificates.certificate("client")), "keyFile": str(certificates.key("client"))}
    assert await outcome_of(provider_of(server.url, **tls(certificates, **pair))) == ("", "")
    reason, message = await outcome_of(provider_of(server.url, **tls(certificates)))
    # The server says why and hangs up at once: what arrives first is a race.
    assert reason in {"TLSVerifyFailed", "Unreachable"}
    assert "certFile" in message or "client certificate" in message


@pytest.mark.parametrize("broken", ["caFile", "certFile", "keyFile"])
async def test_a_file_that_is_no_certificate(
    serving: Callable[..., Scripted], provider_of: Opens, certificates: Certificates, tmp_path: Path, broken: str
) -> None:
    server = serving(matrix(), certificates=certificates)
    files = {"certFile": str(certificates.certificate("client")), "keyFile": str(certificates.key("client"))}
    files[broken] = written(tmp_path / "broken.pem", "not a certificate")
    assert (await outcome_of(provider_of(server.url, **tls(certificates, **files))))[0] == "TLSVerifyFailed"


async def test_an_authority_rotates(
    serving: Callable[..., Scripted], provider_of: Opens, certificates: Certificates, tmp_path: Path
) -> None:
    ca = tmp_path / "ca.pem"
    (tmp_path / "new").mkdir()
    renewed = make_certificates(tmp_path / "new")
    shutil.copy(certificates.ca, ca)
    server = serving(matrix(), certificates=renewed)
    provider = provider_of(server.url, tls={"caFile": str(ca)})
    assert (await outcome_of(provider))[0] == "TLSVerifyFailed"
    shutil.copy(renewed.ca, ca)
    os.utime(ca, ns=(1, 1))
    assert await outcome_of(provider) == ("", "")


async def test_plain_http_on_a_tls_port(
    serving: Callable[..., Scripted], provider_of: Opens, certificates: Certificates
) -> None:
    plain = serving(matrix())
    reason, _ = await outcome_of(provider_of(plain.url.replace("http", "https"), **tls(certificates)))
    assert reason == "TLSVerifyFailed"


async def test_a_missing_certificate_file_stalls(provider_of: Opens) -> None:
    with pytest.raises(Stalled, match=r"/nowhere/ca.pem: No such file"):
        await provider_of("https://127.0.0.1:1", tls={"caFile": "/nowhere/ca.pem"}).ping("default")
