"""A secret is removed from any place in a log, and no line makes the redaction slow."""

from __future__ import annotations

import base64
import json
import random
import string
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memroll.api.evidence import MAX_LINE_CHARS
from memroll.evidence.redact import redact_lines, redact_secrets
from memroll.evidence.sections import MAX_LOG_CHARS, log_tail

PLAIN = string.ascii_letters + string.digits
WORDS = st.text(string.ascii_lowercase + " ", max_size=60)
SEEDS = st.integers(0, 2**32)


def random_text(seed: int, alphabet: str, chars: int) -> str:
    return "".join(random.Random(seed).choices(alphabet, k=chars))


PASSWORDS = st.builds(random_text, SEEDS, st.just(PLAIN + "!$%&/()?#*+-_.:,;"), st.integers(6, 40)).filter(
    lambda s: s[0].isalnum() and not s.strip(",;)").isdigit()
)
KEYS = st.sampled_from([
    "password", "PASSWORD", "db_password", "passwd", "pwd", "passphrase", "secret", "client_secret", "dbPassword",
    "AWS_SECRET_ACCESS_KEY", "api_key", "apiKey", "x-api-key", "OPENAI_API_KEY", "access_token", "refreshToken",
    "session_id", "credentials", "signing_key", "private-key", "token", "connectionString", "password_hash",
])  # fmt: skip
FORMS = st.sampled_from([
    "{k}={v}", "{k}: {v}", "{k} = {v}", "{k}:'{v}'", '{k}="{v}"', "--{k}={v}", '{{"{k}": "{v}"}}', "{{'{k}': '{v}'}}",
    '{{\\"{k}\\": \\"{v}\\"}}', "[{k}] => {v}", "{k}:={v}", "headers['{k}'] = '{v}'",
])  # fmt: skip
TOKENS = {
    "bearer": lambda s: ("Authorization: Bearer ", random_text(s, PLAIN, 30), ""),
    "bearer in curl": lambda s: ("curl -H 'authorization: bearer ", random_text(s, PLAIN, 8), "'"),
    "basic": lambda s: ("Basic ", base64.b64encode(random_text(s, PLAIN, 20).encode()).decode(), ""),
    "cookie": lambda s: ("Set-Cookie: a=b; sid=", random_text(s, PLAIN, 12), "; Path=/"),
    "openai": lambda s: ("using ", f"sk-{random_text(s, PLAIN, 12)}", ""),
    "openai project": lambda s: ("'", f"sk-proj-{random_text(s, PLAIN + '_-', 60)}", "'"),
    "aws": lambda s: ("key ", f"AKIA{random_text(s, string.ascii_uppercase + string.digits, 16)}", " used"),
    "github": lambda s: ("", f"ghp_{random_text(s, PLAIN, 36)}", "."),
    "slack": lambda s: ("", f"xoxb-{random_text(s, string.digits, 12)}-{random_text(s, PLAIN, 24)}", ""),
    "google": lambda s: ("?key=", f"AIza{random_text(s, PLAIN + '_-', 35)}", ""),
    "huggingface": lambda s: ("", f"hf_{random_text(s, PLAIN, 34)}", ""),
    "jwt": lambda s: ("got ", "eyJ" + ".".join(random_text(s + i, PLAIN + "_-", 40) for i in range(3)), ""),
    "hex": lambda s: ("seen ", random_text(s, "0123456789abcdef", 40), "!"),
    "base64": lambda s: ("blob ", base64.b64encode(random.Random(s).randbytes(45)).decode(), ""),
    "in a URL": lambda s: ("postgresql+psycopg://app:", random_text(s, PLAIN + "%!$", 12), "@db.internal:5432/app"),
    "in a query": lambda s: ('"GET /v1?access_token=', random_text(s, PLAIN, 12), '&x=1 HTTP/1.1" 200'),
    "an address": lambda s: ("mail to ", f"{random_text(s, string.ascii_lowercase, 10)}@example.com", ""),
}


def parts_of(line: str, secret: str) -> list[str]:
    """Return every four characters of the secret that are in the line."""
    return [secret[i : i + 4] for i in range(len(secret) - 3) if secret[i : i + 4] in line]


@given(KEYS, FORMS, PASSWORDS, WORDS, WORDS)
@settings(max_examples=400)
def test_values_of_secret_names_are_redacted(key, form, value, before, after):
    if "'" in form or '"' in form:
        value = json.dumps(value)[1:-1]
    line = f"{before} {form.format(k=key, v=value)} {after}"
    assert value not in redact_secrets(line)
    assert not [p for p in parts_of(redact_secrets(line), value) if p not in before + after + key]


@pytest.mark.parametrize("kind", TOKENS)
@given(seed=SEEDS, before=WORDS, after=WORDS)
@settings(max_examples=60, derandomize=True)
def test_tokens_in_a_known_format_are_redacted(kind, seed, before, after):
    head, secret, tail = TOKENS[kind](seed)
    found = redact_secrets(f"{before} {head}{secret}{tail} {after}")
    assert not any(secret[i : i + 8] in found for i in range(len(secret) - 7))
    assert "[redacted]" in found


@given(SEEDS, st.integers(1, 12), st.booleans(), st.booleans(), WORDS)
@settings(max_examples=100)
def test_private_keys_are_redacted_even_if_cut_off(seed, rows, has_begin, has_end, word):
    body = [random_text(seed + i, PLAIN + "+/", 64) for i in range(rows)] + [random_text(seed, PLAIN, 9) + "="]
    block = ["-----BEGIN RSA PRIVATE KEY-----"] * has_begin + body + ["-----END RSA PRIVATE KEY-----"] * has_end
    found = [text for text, _ in redact_lines([f"{word}.", *block])]
    assert len(found) == len(block) + 1
    if has_begin or has_end:
        assert not any(line in text for line in body for text in found)
    assert not any(line in text for line in body[:-1] for text in found)


KEPT = [
    "max_tokens=512 n=3",
    "usage: prompt_tokens: 812, completion_tokens: 33",
    'File "/app/.venv/lib/python3.11/site-packages/LangFlow2Base/component.py", line 3, in run',
    "ConversationBufferMemoryChain finished in 1.25s",
    "growing dict in attribute 'observers' of langflow.services.state.service.InMemoryStateService",
    "GET /api/v1/flows/550e8400-e29b-41d4-a716-446655440000 200",
    "pod chat-7d4b9c5f6-x2x4z on node-1",
    "2026-03-01T12:00:00.123456Z INFO served 20 requests",
]


@pytest.mark.parametrize("line", KEPT)
def test_useful_lines_are_kept(line):
    assert redact_secrets(line) == line


@given(st.lists(st.text(max_size=700), max_size=60))
@settings(max_examples=150)
def test_any_log_becomes_short_printable_lines(lines):
    tail = log_tail("app", lines, MAX_LOG_CHARS)
    for text in tail.lines if tail else ():
        assert len(text) <= MAX_LINE_CHARS
        assert text.isprintable() or all(c.isprintable() or c.isspace() for c in text)
        assert not set(text) & set("\x1b\n\r\x00\u202e\u2066\u200b\ufeff")
        text.encode()
    assert sum(len(t) + 1 for t in (tail.lines if tail else ())) <= MAX_LOG_CHARS


@pytest.mark.parametrize(
    "line",
    ["a" * 2048, " " * 2048, "token" * 409, "token= " * 290, "a@" * 1000, "://" * 680, "eyJaaaa" * 290, "\\" * 2048,
     'password"' * 200, 'token="' + "\\" * 2000, "-----BEGIN PRIVATE KEY" * 90, "token" + "." * 2000, "bearer " * 290,
     "token=" + " a" * 1000, 'token=\\"' * 250],
)  # fmt: skip
def test_no_line_is_slow(line):
    begun_s = time.perf_counter()
    log_tail("app", [line] * 200, MAX_LOG_CHARS)
    assert time.perf_counter() - begun_s < 1.0, "the whole part of a log that is read, on a busy machine"
