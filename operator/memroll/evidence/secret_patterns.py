"""Patterns of secrets in log lines: names whose value is secret, options of commands, and tokens in known formats.

`redact` applies them, in the order in which they are defined. The time of each pattern is linear in the length of its
text. A pattern whose match can fail after a run of characters takes the run possessively, and where the next start lies
inside of the run, it matches the run and keeps it. Optional parts before a name are bounded.
"""

from __future__ import annotations

import re

MIN_RANDOM_CHARS = 20
"""Minimum length of a run that can be random, chosen by hand."""
MIN_HEX_CHARS = 32
"""Minimum length of a hexadecimal run that is redacted: 128 bits."""

KEY_BLOCK = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY.*?(?:-----END [A-Z0-9 ]{0,40}-----|\Z)", re.DOTALL)
KEY_END = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----")
KEY_LINE = re.compile(r"(?:.*\s)?+[A-Za-z0-9+/=]{1,80}+")

_WORD_START, _WORD_END = "(?<![a-z].)", "(?![a-z])"
"""Conditions of a word that is also part of others, after its first and after its last character."""


def _any_of(*words: str) -> str:
    """Return an alternation, grouped by first characters, of which the engine skips others quickly.

    Ignoring the case of each alternative would take ten times as long.
    """
    groups: dict[str, list[str]] = {}
    for word in words:
        groups.setdefault(word[0], []).append(word[1:])
    firsts = "".join(first + first.upper() for first in groups)
    branches = (rf"(?-i:[{first}{first.upper()}])(?:{'|'.join(rests)})" for first, rests in groups.items())
    return rf"(?-i:(?=[{firsts}]))(?:{'|'.join(branches)})"


_PASSWORD_WORDS = (
    "pass(?:word|wd|wort|phrase|code)", "pwd", "kennwort", "wachtwoord", "l[öo]senord", "adgangskode", "salasana",
    "senha", "contrase(?:ñ|n\u0303?)a", "mot[_. -]?de[_. -]?passe", f"c{_WORD_START}lave{_WORD_END}",
    f"m{_WORD_START}dp{_WORD_END}", f"p{_WORD_START}arola{_WORD_END}", f"h{_WORD_START}(?:as[łl]o|eslo){_WORD_END}",
    f"ş{_WORD_START}ifre{_WORD_END}", f"s{_WORD_START}ifre{_WORD_END}", "пароль",
    "密码", "密碼", "パスワード", "비밀번호",
)  # fmt: skip
"""Passwords in English and in German, Dutch, Swedish, Danish, Finnish, Portuguese, Spanish, French, Italian, Polish,
Czech, Turkish, Russian, Chinese, Japanese and Korean."""
_PASS = f"p(?:(?<=_.)|(?<=db.)|(?<=user.)|(?<=root.)|(?<=admin.)|(?<=auth.)|(?<=key.))ass{_WORD_END}"
_KEY_OWNERS = (
    "api", "access", "private", "signing", "encryption", "account", "auth", "service", "client", "storage", "shared",
    "master", "db", "database",
)  # fmt: skip
_PASSPHRASES = _any_of(*_PASSWORD_WORDS)
_NAME = _any_of(
    *_PASSWORD_WORDS, "secret", "jwt", "credential", "session[_. -]?(?:id|key)", "signature", "dsn",
    "conn(?:ection)?[_. -]?str", *(f"{owner}[_. -]?key" for owner in _KEY_OWNERS), _PASS,
)  # fmt: skip
_QUOTED = r"""\\++(?P<quote>["']).*?(?:\\(?P=quote)|$)|"(?:[^"\\]|\\.)*+(?:"|$)|'(?:[^'\\]|\\.)*+(?:'|$)"""
_ASSIGNMENT = r"""[\w.-]{0,32}+\\*+["']?\]?\s{0,4}(?:=>|:=|!==?|[:=：＝])\s{0,4}"""  # noqa: RUF001 - fullwidth, as CJK text has
_VALUE = rf"{_QUOTED}|.+?(?=\s[\w.-]{{1,64}}+=|$)"
"""Value up to its closing quote, else up to the next `name=` or the end of the line."""
_COUNT = r"\d{1,9}(?:\.\d{1,3})?(?=[,;)}\]]{0,4}(?:\s|$))"
NAMED_SECRET = re.compile(rf"(?P<name>(?:{_NAME}){_ASSIGNMENT})(?P<value>{_VALUE})", re.IGNORECASE)
TOKEN = re.compile(
    rf"""(?P<name>token{_ASSIGNMENT}|(?<![\w.-])pass(?:\s{{0,4}}(?:=>|:=|=)|\\*+["']\s{{0,4}}[:=])\s{{0,4}})"""
    rf"(?P<value>(?P<count>{_COUNT})|{_VALUE})",
    re.IGNORECASE,
)
"""Token, but not a number of tokens as language models count them: `max_tokens=512`; `pass=`, but not `pass=12`."""
HEADER = re.compile(rf"(?P<name>(?:authorization|cookie){_ASSIGNMENT})(?P<value>{_QUOTED}|.+)", re.IGNORECASE)
OPTION = re.compile(
    r"(?P<name>(?<![\w.-])--?(?![\w.-]{0,64}(?:file|path|stdin|prompt))[\w.-]{0,64}?"
    rf"(?:{_NAME}|pass(?![a-z])|token)[\w.-]{{0,32}}+\s{{1,4}})"
    rf"(?P<value>(?P<count>{_COUNT})|{_QUOTED}|[^\s\"'-]\S*+)",
    re.IGNORECASE,
)
"""Option of a command with its value: `--password hunter2`, but not `--max-tokens 512` and not `--token-file /path`."""
ELEMENT = re.compile(
    rf"(?P<name><[\w.:-]{{0,64}}?(?:{_NAME}|pass(?![a-z])|token)[\w.-]{{0,32}}+(?:\s[^<>]*+)?>(?:<!\[CDATA\[)?)"
    rf"(?P<value>(?P<count>\d{{1,9}}(?=</))|[^<]++(?=</)|\w[^<]*+)",
    re.IGNORECASE,
)
"""XML element, also without its end. `List<Token> items` is none: text follows after a blank, without an end tag."""
IN_PLAIN_WORDS = re.compile(
    rf"(?P<name>(?:{_PASSPHRASES})(?:\s(?:for|of|für|de|para)\s[^\s:=]{{1,64}}+)?\s?[:=]?\s"
    r"(?:(?:is|was|to|ist|war|est|es)\s)?)"
    r"(?P<value>(?![(\[{<]|(?:sha|md|pbkdf|argon|bcrypt|scrypt|base|utf|aes)-?\d)"
    r"(?=[^\s\d]{0,64}\d)(?=[^\sA-Za-z]{0,64}[A-Za-z])\S{6,}+)",
    re.IGNORECASE,
)
"""Password after a blank or `is`: a word of six or more characters with a letter and a digit. A plain word is kept:
`password is required`, `password expired`."""
SHARED_SIGNATURE = re.compile(r"(?P<name>[?&;]sig=)(?P<value>[^\s&\"'<>]++)", re.IGNORECASE)
"""Signature in a URL of Azure Storage, also a short one."""
URL_REST = re.compile(r"""(?<=://)[^\s"'<>]++""")
JWT = re.compile(r"eyJ[\w-]{4,}+(?P<rest>(?:\.[\w-]*+){0,4}+)")

COMMANDS = (
    re.compile(r"\b(?:mysql(?:dump|admin|show|import|check|pump|sh)?|mariadb(?:-dump|-admin)?|sshpass)\b"),
    re.compile(
        r"\b(?:mongo(?:sh|dump|restore|export|import)?|(?:docker|podman|buildah|skopeo|nerdctl|registry)\s++login)\b"
    ),
    re.compile(r"\b(?:redis-cli|valkey-cli)\b"),
    re.compile(r"\bldap(?:search|modify|add|delete|whoami|passwd)\b"),
    re.compile(r"\b(?:sqlcmd|bcp)\b"),
    re.compile(r"\b(?:curl|wget|http)\b"),
)
"""Commands that take a password with a short option; the patterns of the options, in the same order, are below."""
_ARGUMENT = r"""(?P<value>"[^"]*+"?|'[^']*+'?|[^\s"']\S*+)"""
COMMAND_OPTIONS = (
    re.compile(rf"(?P<name>(?<=\s)-p){_ARGUMENT}"),
    re.compile(rf"(?P<name>(?<=\s)-p\s{{0,4}}){_ARGUMENT}"),
    re.compile(rf"(?P<name>(?<=\s)-a\s{{0,4}}){_ARGUMENT}"),
    re.compile(rf"(?P<name>(?<=\s)-w\s{{0,4}}){_ARGUMENT}"),
    re.compile(rf"(?P<name>(?<=\s)-P\s{{0,4}}){_ARGUMENT}"),
    re.compile(rf"""(?P<name>(?<=\s)(?:-u|--user)[\s=]{{0,4}}["']?[^\s:"']{{1,64}}+:){_ARGUMENT}"""),
)

KNOWN_FORMATS = (
    re.compile(r"\b(?:bearer|basic(?!\s++auth\b)|negotiate)\s++[^\s,;\"']{4,}+", re.IGNORECASE),
    re.compile(
        r"\b(?:[spr]k[-_]|A3T|AKIA|ASIA|ABIA|ACCA|AKC|gh[opsur]_|github_pat_|xapp-|xox[a-z]-|gl(?:pat|dt|rt|ft|soat|cbt"
        r"|imt|ptt|agent|oas)-|GR1348941|AIza|ya29\.|hf_|npm_|pypi-|SG\.|lsv2_|gsk_|r8_|whsec_|do[opr]_v1_|hv[bsr]\."
        r"|dckr_[a-z]{3}_|shp(?:at|ss|ca|pa)_|sq0(?:atp|csp|idp)-|glsa_|glc_|PMAK-|figd_|lin_api_|rubygems_|tskey-|sntry[su]_"
        r"|nvapi-|tfp_|dapi|AGE-SECRET-KEY-)[\w.-]{8,}+"
    ),
    re.compile(r"\b(?:AC|SK)[0-9a-z]{32}\b|\b[0-9a-z]{32}-us\d{1,2}\b"),  # Twilio, Mailchimp
    re.compile(r"\bAP[0-9A-F](?=[A-Za-z]{0,64}\d)[A-Za-z0-9]{16,}+"),  # Artifactory
    re.compile(r"\b[MNO][\w-]{23,25}\.[\w-]{6}\.[\w-]{27,}+"),  # Discord
    re.compile(r"(?<!\d)\d{8,10}:[\w-]{35,}+"),  # Telegram
    re.compile(r"(?<=hooks\.slack\.com/services/)[\w/]++|(?<=/api/webhooks/)\d++/[\w-]++"),
    re.compile(r"(?<![\w.+-])[\w.+-]++@[\w-]++(?:\.[\w-]++)++"),
    re.compile(rf"(?<![0-9A-Za-z])[0-9a-fA-F]{{{MIN_HEX_CHARS},}}+(?![0-9A-Za-z])"),
)
WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
RUN = re.compile(rf"[A-Za-z0-9+/_=-]{{{MIN_RANDOM_CHARS},}}+")
SEPARATORS = re.compile(r"[/_=+-]")
