"""Credentials are sent only to the server; TLS is verified; both rotate without a restart."""

from __future__ import annotations

import base64
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509

from memroll.clients.prometheus.client import PrometheusClient
from memroll.clients.prometheus.credentials import ConnectionsFile
from memroll.detection.samples import ReadRequest, SampleRange
from memroll.errors import MemrollError, TerminalError
from tests.contract.prometheus.certificates import Certificates, make_certificates
from tests.contract.prometheus.scripted_server import Exchange, ScriptedServer, matrix, responding

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.contract.prometheus.conftest import Opens


async def outcome_of(client: PrometheusClient) -> tuple[str, str]:
    """Return reason and message of a read; both are empty if it succeeded."""
    try:
        await client.read("default", ReadRequest("ai", ["chat-1"], SampleRange(90.0, None), 1020.0))
    except MemrollError as error:
        return error.reason, error.message
    return "", ""


def require(header: str) -> Callable[[Exchange], None]:
    def response(exchange: Exchange) -> None:
        known = exchange.headers.get("Authorization") == header
        (matrix() if known else responding(401, "who are you?"))(exchange)

    return response


def written(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


async def test_a_token_is_sent_and_rotates(
    serving: Callable[..., ScriptedServer], client_of: Opens, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    server = serving(require("Bearer first"))
    client = client_of(server.url, authorization={"credentialsFile": written(token, "first\n")})
    assert await outcome_of(client) == ("", "")
    server.script[:] = [require("Bearer second")]
    reason, message = await outcome_of(client)
    assert reason == "Unauthorized"
    assert "first" not in message
    fresh = tmp_path / "fresh"
    fresh.write_text("second\n")
    fresh.replace(token)  # as a mounted Secret changes: another file with the same name
    assert await outcome_of(client) == ("", "")


async def test_a_password_is_sent(serving: Callable[..., ScriptedServer], client_of: Opens, tmp_path: Path) -> None:
    pair = base64.b64encode("reader:pass wörd:1".encode()).decode()
    basic = {"username": "reader", "passwordFile": written(tmp_path / "password", "pass wörd:1")}
    assert await outcome_of(client_of(serving(require(f"Basic {pair}")).url, basicAuth=basic)) == ("", "")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        pytest.param(None, "No such file or directory", id="is missing"),
        pytest.param("", "must hold one line of printable UTF-8", id="is empty"),
        pytest.param("a\nX-Injected: b", "must hold one line of printable UTF-8", id="holds two lines"),
        pytest.param("tökén", "the token must be ASCII", id="can't be a header"),
        pytest.param("x" * 20_000, "must hold one line of printable UTF-8", id="is far too long"),
    ],
)
async def test_an_invalid_secret_is_a_terminal_error_that_names_the_file(
    client_of: Opens, tmp_path: Path, content: str | None, text: str
) -> None:
    token = tmp_path / "token"
    if content is not None:
        token.write_text(content)
    client = client_of("http://127.0.0.1:1", authorization={"credentialsFile": str(token)})
    assert await outcome_of(client) == ("ConnectionInvalid", f"{token}: {text}")


async def test_a_changed_connection_is_used_without_a_restart(
    serving: Callable[..., ScriptedServer], tmp_path: Path
) -> None:
    one, other = serving(matrix()), serving(matrix())
    file = tmp_path / "connections.yaml"
    file.write_text(f"connections: {{default: {{url: '{one.url}'}}}}")
    client = PrometheusClient(ConnectionsFile(file))
    assert await outcome_of(client) == ("", "")
    assert await outcome_of(client) == ("", "")
    assert (len(one.requests), len(other.requests)) == (8, 0)
    file.write_text(f"connections: {{default: {{url: '{other.url}', timeoutSeconds: 5}}}}")
    assert await outcome_of(client) == ("", "")
    assert (len(one.requests), len(other.requests)) == (8, 4)
    file.write_text("connections: {default: {url: ''}}")
    assert (await outcome_of(client))[0] == "ConnectionInvalid"
    client.close()


def tls(made: Certificates, **fields: Any) -> dict[str, Any]:
    return {"tls": {"caFile": str(made.ca), **fields}}


async def test_a_configured_ca_is_trusted(
    serving: Callable[..., ScriptedServer], client_of: Opens, certificates: Certificates
) -> None:
    server = serving(matrix(), certificates=certificates)
    assert await outcome_of(client_of(server.url, **tls(certificates))) == ("", "")


async def test_an_unknown_ca_is_rejected_and_no_credentials_are_sent(
    serving: Callable[..., ScriptedServer], client_of: Opens, certificates: Certificates, tmp_path: Path
) -> None:
    server = serving(matrix(), certificates=certificates)
    token = written(tmp_path / "token", "t0ken")
    reason, message = await outcome_of(client_of(server.url, authorization={"credentialsFile": token}))
    assert reason == "TLSVerifyFailed"
    assert message == (
        f"TLS with {server.host} failed (self-signed certificate in certificate chain): "
        "check tls.caFile, certFile and serverName"
    )
    assert server.requests == []


async def test_verification_is_skipped_only_if_configured(
    serving: Callable[..., ScriptedServer], client_of: Opens, certificates: Certificates
) -> None:
    server = serving(matrix(), certificates=certificates)
    assert await outcome_of(client_of(server.url, tls={"insecureSkipVerify": True})) == ("", "")


async def test_the_certificate_must_contain_the_host_or_the_server_name(
    serving: Callable[..., ScriptedServer], client_of: Opens, tmp_path: Path
) -> None:
    made = make_certificates(tmp_path, x509.DNSName("prometheus.monitoring.svc"))
    server = serving(matrix(), certificates=made)
    reason, message = await outcome_of(client_of(server.url, **tls(made)))
    assert (reason, "127.0.0.1" in message) == ("TLSVerifyFailed", True)
    assert await outcome_of(client_of(server.url, **tls(made, serverName="prometheus.monitoring.svc"))) == ("", "")
    odd = f"{server.url}/%7Eme"  # requests writes it as ~me
    assert await outcome_of(client_of(odd, **tls(made, serverName="prometheus.monitoring.svc"))) == ("", "")
    reason, message = await outcome_of(client_of(server.url, **tls(made, serverName="other.svc")))
    assert (reason, "certificate is not valid for 'other.svc'" in message) == ("TLSVerifyFailed", True)


async def test_a_client_certificate_is_sent(
    serving: Callable[..., ScriptedServer], client_of: Opens, certificates: Certificates
) -> None:
    server = serving(matrix(), certificates=certificates, client_certificate=True)
    pair = {"certFile": str(certificates.certificate("client")), "keyFile": str(certificates.key("client"))}
    assert await outcome_of(client_of(server.url, **tls(certificates, **pair))) == ("", "")
    reason, message = await outcome_of(client_of(server.url, **tls(certificates)))
    # The server sends an alert and closes the connection at once: which arrives first is a race.
    assert reason in {"TLSVerifyFailed", "Unreachable"}
    assert "certFile" in message or "client certificate" in message


@pytest.mark.parametrize("broken", ["caFile", "certFile", "keyFile"])
async def test_an_invalid_certificate_file(
    serving: Callable[..., ScriptedServer], client_of: Opens, certificates: Certificates, tmp_path: Path, broken: str
) -> None:
    server = serving(matrix(), certificates=certificates)
    files = {"certFile": str(certificates.certificate("client")), "keyFile": str(certificates.key("client"))}
    files[broken] = written(tmp_path / "broken.pem", "not a certificate")
    assert (await outcome_of(client_of(server.url, **tls(certificates, **files))))[0] == "TLSVerifyFailed"


async def test_a_rotated_ca_is_used_without_a_restart(
    serving: Callable[..., ScriptedServer], client_of: Opens, certificates: Certificates, tmp_path: Path
) -> None:
    ca = tmp_path / "ca.pem"
    (tmp_path / "new").mkdir()
    renewed = make_certificates(tmp_path / "new")
    shutil.copy(certificates.ca, ca)
    server = serving(matrix(), certificates=renewed)
    client = client_of(server.url, tls={"caFile": str(ca)})
    assert (await outcome_of(client))[0] == "TLSVerifyFailed"
    shutil.copy(renewed.ca, ca)
    os.utime(ca, ns=(1, 1))
    assert await outcome_of(client) == ("", "")


async def test_plain_http_on_a_tls_port(
    serving: Callable[..., ScriptedServer], client_of: Opens, certificates: Certificates
) -> None:
    plain = serving(matrix())
    reason, _ = await outcome_of(client_of(plain.url.replace("http", "https"), **tls(certificates)))
    assert reason == "TLSVerifyFailed"


async def test_a_missing_certificate_file_is_a_terminal_error(client_of: Opens) -> None:
    with pytest.raises(TerminalError, match=r"/nowhere/ca.pem: No such file"):
        await client_of("https://127.0.0.1:1", tls={"caFile": "/nowhere/ca.pem"}).ping("default")
