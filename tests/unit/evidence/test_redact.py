"""Secrets that lines of a log contain, each in the form in which programs write it; and lines that must stay."""

from __future__ import annotations

import pytest

from memroll.evidence.redact import REDACTED, redact_lines, redact_secrets

SECRET = "hunter2"
REDACTED_LINES = {
    "db_pass=hunter2 pwd=hunter3": "db_pass=[redacted] pwd=[redacted]",
    "DB_PASS: hunter2": "DB_PASS: [redacted]",
    "dbPass=hunter2": "dbPass=[redacted]",
    "db_pass=123456": "db_pass=[redacted]",
    "user=bob pass=hunter2 host=db": "user=bob pass=[redacted] host=db",
    '{"user": "bob", "pass": "hunter2"}': '{"user": "bob", "pass": [redacted]}',
    "GET /login?user=bob&pass=hunter2": "GET /login?user=bob&pass=[redacted]",
    "--password hunter2 --user bob": "--password [redacted] --user bob",
    "app --db-password 'two words' -v": "app --db-password [redacted] -v",
    "app -password hunter2": "app -password [redacted]",
    "app --api-key hunter2 --token hunter3": "app --api-key [redacted] --token [redacted]",
    "app --pass hunter2": "app --pass [redacted]",
    "mysql -u root -pHunter2 -h db": "mysql -u root -p[redacted] -h db",
    "exec sshpass -p'Hunter 2' ssh db": "exec sshpass -p[redacted] ssh db",
    "docker login -u bob -p hunter2 example.com": "docker login -u bob -p [redacted] example.com",
    "redis-cli -h cache -a hunter2 ping": "redis-cli -h cache -a [redacted] ping",
    "ldapsearch -D cn=admin -w hunter2 -b dc=x": "ldapsearch -D cn=admin -w [redacted] -b dc=x",
    "curl -s -u bob:hunter2 http://db": "curl -s -u bob:[redacted] http://db",
    "<password>hunter2</password>": "<password>[redacted]</password>",
    '<db:Password type="x">two words</db:Password>': '<db:Password type="x">[redacted]</db:Password>',
    "<clientSecret><![CDATA[hunter2]]></clientSecret>": "<clientSecret><![CDATA[[redacted]</clientSecret>",
    "<password>hunter2": "<password>[redacted]",
    "using hvs.CAESIJ1234567890abcdefghijklmnop": "using [redacted]",
    "using dckr_pat_abcdefghijklmnopqrstuvwxyz1": "using [redacted]",
    "https://a.blob.core.windows.net/c?sv=1&sig=abc%2Fdef": "https://a.blob.core.windows.net/c?sv=1&sig=[redacted]",
    "kennwort=hunter2": "kennwort=[redacted]",
    "Passwort: hunter2": "Passwort: [redacted]",
    "contraseña=hunter2 contrasena=hunter3": "contraseña=[redacted] contrasena=[redacted]",
    "contrasen\u0303a=hunter2": "contrasen\u0303a=[redacted]",
    "mot de passe : hunter2": "mot de passe : [redacted]",
    "mdp=hunter2 senha=hunter3": "mdp=[redacted] senha=[redacted]",
    "пароль: hunter2": "пароль: [redacted]",
    "密码：hunter2": "密码：[redacted]",  # noqa: RUF001 - as Chinese text has it
    "password is hunter2": "password is [redacted]",
    "password hunter2 was rejected": "password [redacted] was rejected",
    "the password for bob is hunter2": "the password for bob is [redacted]",
    "das Kennwort ist hunter2": "das Kennwort ist [redacted]",
}
KEPT = [
    "tests pass: 12 fail: 3",
    "PASS: test_login",
    "pass=12 fail=3",
    '{"pass": 12, "fail": 3}',
    "bypass=true compass: north",
    "--max-tokens 512 --temperature 0.2",
    "--password-file /run/secrets/db --user bob",
    "docker run -p 8080:80 web",
    "mysqld_exporter -port 9104",
    "ps -p 4711 -o rss",
    "curl -s http://db:8080/metrics",
    "<title>Password reset</title>",
    "List<Token> items of Map<String, Secret> cache",
    "<tokens>512</tokens>",
    "password is required",
    "password must have 12 characters",
    "Password reset for user42 requested",
    "invalid password, 3 attempts left",
    "password authentication failed for user",
    "password sha256 mismatch",
    "Setting up passwd (1:4.13+dfsg1-1+deb12u2) ...",
    "enclave: ready, sifrelement: 1, parolad: 2",
    "design=ok, assign=3, GET /a?design=big&signed=1",
    "Secret my-app-7d4b9c5f6 was mounted",
    "the call had 4 passes in 1.2 s",
    "AC adapter, SK region, APIServer and APACHE started",
    "basic auth of 3 users",
    "2026-03-01T12:00:00Z INFO retry 1234567890: connection closed",
]


@pytest.mark.parametrize("line", REDACTED_LINES)
def test_secrets_are_redacted(line: str) -> None:
    assert redact_secrets(line) == REDACTED_LINES[line]


@pytest.mark.parametrize("line", KEPT)
def test_ordinary_lines_are_kept(line: str) -> None:
    assert redact_secrets(line) == line


@pytest.mark.parametrize("hidden", ["\u200b", "\u200d", "\u2060", "\ufeff", "\u00ad", "\x01"])
@pytest.mark.parametrize(
    "line",
    [
        "Bearer@abcdef123456",
        "pass@word=hunter2",
        "password@hunter2",
        "--password@hunter2",
        "to@ken=@hunter2",
        "hv@s.CAESIJ12345",
    ],
)
def test_invisible_characters_hide_no_secret(line: str, hidden: str) -> None:
    ((found, was_redacted),) = redact_lines([f"used {line.replace('@', hidden)}"])
    assert was_redacted
    assert not {SECRET, "abcdef123456", "CAESIJ12345"} & set(found.replace("=", " ").split())
    assert not any(secret in found for secret in (SECRET, "abcdef123456", "CAESIJ12345"))


def test_a_line_with_invisible_characters_and_without_a_secret_is_kept() -> None:
    line = "\ufeffJos\u00e9 read\u200b 3 tokens=512 \U0001f468\u200d\U0001f469\u200d\U0001f467"
    ((found, was_redacted),) = redact_lines([line])
    assert not was_redacted
    assert found.startswith("Jos\u00e9 read 3 tokens=512")


def test_only_the_value_is_redacted_if_invisible_characters_are_elsewhere() -> None:
    ((found, _),) = redact_lines(["caf\u00e9\u200b token=abcdef user=bob"])
    assert found == f"caf\u00e9 token={REDACTED} user=bob"
