"""Oracle of redaction: the secret scanner detect-secrets finds none of the secrets in a redacted line.

Each generator returns a line with a secret in the documented format of its type; the test of the corpus requires that
the scanner finds the secret before. The scanner's plugins only match text here: nothing is sent.
"""

from __future__ import annotations

import base64
import json
import random
import string
from typing import TYPE_CHECKING

import pytest
from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class

from memroll.evidence.redact import REDACTED, redact_key_blocks, redact_secrets

if TYPE_CHECKING:
    from collections.abc import Callable

LOWER, UPPER, DIGITS = string.ascii_lowercase, string.ascii_uppercase, string.digits
PLAIN, HEX = LOWER + UPPER + DIGITS, "0123456789abcdef"
URL_SAFE = PLAIN + "_-"
LINES_PER_TYPE = 200
NOT_COMPARED = {
    "Base64 High Entropy String": "finds every quoted string of many different characters, also paths and names",
    "Hex High Entropy String": "finds every quoted hexadecimal string, also UUIDs and short ids, which are kept",
    "Public IP (ipv4)": "addresses are no secrets, and needed to understand a log",
}


class Generator:
    """Random parts of secrets, from a seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def text(self, alphabet: str, chars: int) -> str:
        return "".join(self._random.choices(alphabet, k=chars))

    def one_of(self, *choices: str) -> str:
        return self._random.choice(choices)

    def json(self, value: object) -> str:
        """Return a part of a JSON Web Token."""
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    def base64(self, count: int) -> str:
        return base64.b64encode(self._random.randbytes(count)).decode()


CORPUS: dict[str, Callable[[Generator], str]] = {
    "Artifactory Credentials": lambda g: g.one_of(
        f"login AKC{g.text(PLAIN, 70)}", f"login=AP{g.one_of(*'0123456789ABCDEF')}{g.text(PLAIN, 30)} done"
    ),
    "AWS Access Key": lambda g: g.one_of(
        f"id {g.one_of('AKIA', 'ASIA', 'ABIA', 'ACCA', 'A3TX')}{g.text(UPPER + DIGITS, 16)}",
        f"aws secret key '{g.text(PLAIN + '/+', 40)}'",
        f"aws_token: '{g.text(PLAIN + '/+', 40)}'",
    ),
    "Azure Storage Account access key": lambda g: f"AccountName=a;AccountKey={g.base64(64)};Suffix=core",
    "Basic Auth Credentials": lambda g: f"to {g.one_of('https', 'amqp', 'redis')}://app:{g.text(PLAIN, 9)}@db:80/x",
    "Cloudant Credentials": lambda g: g.one_of(
        f"cloudant_password={g.text(HEX, 64)}",
        f"cloudant_apikey: {g.text(LOWER, 24)}",
        f"https://a-bluemix:{g.text(LOWER, 24)}@a-bluemix.cloudant.com",
    ),
    "Discord Bot Token": lambda g: (
        f"bot {g.one_of('M', 'N', 'O')}{g.text(PLAIN, 23)}.{g.text(URL_SAFE, 6)}.{g.text(URL_SAFE, 27)}"
    ),
    "GitHub Token": lambda g: f"git clone with gh{g.one_of('p', 'o', 'u', 's', 'r')}_{g.text(PLAIN, 36)}",
    "GitLab Token": lambda g: g.one_of(
        f"using {g.one_of('glpat', 'gldt', 'glft', 'glsoat', 'glrt')}-{g.text(URL_SAFE[:-2], 20)}",
        f"using GR1348941{g.text(PLAIN, 20)}",
        f"using glcbt-4f_{g.text(PLAIN, 20)}",
        f"using glimt-{g.text(LOWER + DIGITS, 25)}",
        f"using glptt-{g.text(HEX, 40)}",
        f"using glagent-{g.text(PLAIN, 50)}",
        f"using gloas-{g.text(HEX, 64)}",
    ),
    "IBM Cloud IAM Key": lambda g: f"ibm_cloud_iam_{g.one_of('api_key', 'key')}={g.text(URL_SAFE, 43)}x",
    "IBM COS HMAC Credentials": lambda g: f"cos_hmac_secret_access_key: '{g.text(HEX, 48)}'",
    "JSON Web Token": lambda g: (
        f"got {g.json({'alg': 'HS256'})}.{g.json({'sub': g.text(PLAIN, 30)})}.{g.text(URL_SAFE, 43)}"
    ),
    "Mailchimp Access Key": lambda g: f"mail {g.text(HEX, 32)}-us{g.text('123456789', 2)}",
    "NPM tokens": lambda g: (
        f"//registry.example.com/:_authToken={g.one_of('npm_' + g.text(PLAIN, 36), g.text(HEX, 36))}"
    ),
    "OpenAI Token": lambda g: f"with sk-{g.one_of('', 'proj-a-')}{g.text(PLAIN, 20)}T3BlbkFJ{g.text(PLAIN, 20)}",
    "Private Key": lambda _: "-----BEGIN RSA PRIVATE KEY-----",
    "PyPI Token": lambda g: f"upload with pypi-AgEIcHlwaS5vcmc{g.text(URL_SAFE, 80)}",
    "Secret Keyword": lambda g: g.one_of(
        *(
            f'{name}{sign}"{"x" + g.text(PLAIN + "!$%&", 11)}x"'
            for name in ("api_key", "authkey", "service_key", "account_key", "db_key", "database_key", "private_key")
            for sign in (" = ", ": ", " => ", " == ", " != ")
        ),
        *(
            f'{name}{sign}"x{g.text(PLAIN, 11)}"'
            for name in (
                "client_key",
                "db_pass",
                "database_pass",
                "keypass",
                "my_password",
                "passwd",
                "pwd",
                "contraseña",
            )
            for sign in ("=", ": ", "_new = ")
        ),
    ),
    "SendGrid API Key": lambda g: f"mail SG.{g.text(URL_SAFE, 22)}.{g.text(URL_SAFE, 43)}",
    "Slack Token": lambda g: g.one_of(
        f"chat xox{g.one_of('a', 'b', 'p', 'o', 's', 'r')}-{g.text(DIGITS, 12)}-{g.text(PLAIN, 24)}",
        f"to https://hooks.slack.com/services/T{g.text(UPPER, 8)}/B{g.text(UPPER, 8)}/{g.text(PLAIN, 24)}",
    ),
    "SoftLayer Credentials": lambda g: g.one_of(
        f"softlayer_api_key={g.text(LOWER + DIGITS, 64)}",
        f"sl-token: {g.text(LOWER + DIGITS, 64)}",
        f"GET https://api.softlayer.com/soap/v3/{g.text(LOWER + DIGITS, 64)}",
    ),
    "Square OAuth Secret": lambda g: f"pay sq0csp-{g.text(URL_SAFE, 42)}x",
    "Stripe Access Key": lambda g: f"pay {g.one_of('r', 's')}k_live_{g.text(PLAIN, 24)}",
    "Telegram Bot Token": lambda g: f"bot {g.text('123456789', 10)}:{g.text(URL_SAFE, 35)}",
    "Twilio API Key": lambda g: f"call {g.one_of('AC', 'SK')}{g.text(HEX, 32)}",
}
PLUGINS = {name: plugin() for name, plugin in get_mapping_from_secret_type_to_class().items()}


def lines_of(secret_type: str) -> list[str]:
    return [CORPUS[secret_type](Generator(seed)) for seed in range(LINES_PER_TYPE)]


def found_by_scanner(line: str) -> set[str]:
    """Return all secrets that the scanner finds, of any type."""
    compared = (plugin for name, plugin in PLUGINS.items() if name not in NOT_COMPARED)
    return {secret for plugin in compared for secret in plugin.analyze_string(line)}


def test_every_type_of_the_scanner_is_compared_or_has_a_reason() -> None:
    assert set(PLUGINS) == set(CORPUS) | set(NOT_COMPARED)


@pytest.mark.parametrize("secret_type", CORPUS)
def test_the_scanner_finds_the_corpus(secret_type: str) -> None:
    missed = [line for line in lines_of(secret_type) if not set(PLUGINS[secret_type].analyze_string(line))]
    assert missed == []


@pytest.mark.parametrize("secret_type", CORPUS)
def test_what_the_scanner_finds_is_redacted(secret_type: str) -> None:
    left = {}
    for line in lines_of(secret_type):
        redacted = redact_secrets(redact_key_blocks([line])[0])
        secrets = {secret for secret in found_by_scanner(line) if secret in redacted}
        new = {s for s in found_by_scanner(redacted) if REDACTED not in s and s not in REDACTED}
        if secrets | new:
            left[line] = (redacted, secrets | new)
    assert left == {}
