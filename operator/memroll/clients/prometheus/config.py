"""Models of the connections file, in which the administrator lists the Prometheus servers.

A policy only names a connection. Credentials are given as file paths, so that a mounted Secret can rotate without a
restart, and so that no model, log line or error contains a secret.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from memroll.api.base import Name
from memroll.errors import TerminalError
from memroll.yaml_files import YamlFileError, read_document

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_SHOWN_PROBLEMS = 5
"""Maximum number of errors in a message about the file; chosen by hand."""
RESERVED_PARAMETERS = frozenset(
    {
        "query",
        "time",
        "timeout",
        "start",
        "end",
        "step",
        "dedup",
        "partial_response",
        "max_source_resolution",
        "latency_offset",
        "stats",
    }
)
"""Query parameters that memroll sets itself."""
RESERVED_LABELS = frozenset({"namespace", "pod", "container"})
"""Labels that memroll matches itself."""
RESERVED_HEADERS = frozenset(
    {"authorization", "connection", "content-length", "content-type", "host", "transfer-encoding"}
)


def _checked_url(url: str) -> str:
    """Reject a URL that may hold a secret or hide its target. No message contains the URL."""
    if re.search(r"[^\x21-\x7e]", url):
        raise ValueError("must not hold blanks or anything but ASCII")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("is not a URL with a valid host and port") from None
    if parts.scheme not in {"http", "https"}:
        raise ValueError("must start with http:// or https://")
    if "@" in parts.netloc:
        raise ValueError("must not hold a user or password: use basicAuth or authorization")
    if not parts.hostname or port == 0:
        raise ValueError("is not a URL with a valid host and port")
    if "?" in url or "#" in url:
        raise ValueError("must not hold a query or fragment: use queryParams")
    return url.rstrip("/")


def _checked_header(name: str) -> str:
    if name.lower() in RESERVED_HEADERS:
        raise ValueError(f"the header {name} is not free: use authorization or basicAuth for credentials")
    return name


def _checked_parameter(name: str) -> str:
    if name in RESERVED_PARAMETERS:
        raise ValueError(f"the parameter {name} is set by memroll itself")
    return name


def _checked_label(name: str) -> str:
    if name in RESERVED_LABELS or name.startswith("__"):
        raise ValueError(f"the label {name} is matched by memroll itself")
    return name


Url = Annotated[str, Field(min_length=1, max_length=2048), AfterValidator(_checked_url)]
HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$"), AfterValidator(_checked_header)]
HeaderValue = Annotated[str, Field(pattern=r"^[\x20-\x7e]{0,1024}$")]
LabelName = Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]{0,127}$"), AfterValidator(_checked_label)]
LabelValue = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,1024}$")]
ParameterName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.\[\]-]{1,64}$"), AfterValidator(_checked_parameter)]


class Section(BaseModel):
    """Base of all sections of the file. An unknown field is an error: a misspelt `caFile` must not pass silently."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )


class Authorization(Section):
    """Bearer token of a connection."""

    credentials_file: Path
    """File with the bearer token. The ServiceAccount's token is sent only if this is its path."""


class BasicAuth(Section):
    """User and password of a connection."""

    username: str = Field(min_length=1, max_length=256, pattern=r"^[^:\x00-\x1f]+$")
    password_file: Path


class Tls(Section):
    """TLS settings of a connection."""

    ca_file: Path | None = None
    """File with the only CA certificates to trust."""
    cert_file: Path | None = None
    key_file: Path | None = None
    server_name: str = Field(default="", max_length=253)
    """Name that the server's certificate must contain, if it is not the URL's host."""
    insecure_skip_verify: bool = False

    @model_validator(mode="after")
    def _check_tls(self) -> Self:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("certFile and keyFile belong together: give both or none")
        if self.insecure_skip_verify and (self.ca_file or self.server_name):
            raise ValueError("insecureSkipVerify makes caFile and serverName void: give one or the other")
        return self


class Connection(Section):
    """One Prometheus, or any server with its query API."""

    url: Url
    method: Literal["GET", "POST"] = "POST"
    """HTTP method of queries. GET is for proxies that do not permit POST."""
    authorization: Authorization | None = None
    basic_auth: BasicAuth | None = None
    tls: Tls = Tls()
    headers: dict[HeaderName, HeaderValue] = Field(default={}, max_length=16)
    """Sent with every request, such as X-Scope-OrgID. Not for secrets."""
    query_params: dict[ParameterName, str] = Field(default={}, max_length=16)
    """Added to every request's URL. Not for secrets."""
    match_labels: dict[LabelName, LabelValue] = Field(default={}, max_length=16)
    """Labels that every queried series must have, such as the cluster's name in a store of several clusters."""
    timeout_seconds: float = Field(default=20.0, ge=1.0, le=300.0, allow_inf_nan=False)
    """Timeout of one query, in seconds, from the time at which it is sent, with its retries."""

    @model_validator(mode="after")
    def _check_connection(self) -> Self:
        if self.authorization and self.basic_auth:
            raise ValueError("authorization and basicAuth exclude each other: give one")
        if self.tls != Tls() and not self.url.startswith("https://"):
            raise ValueError("tls needs a url that starts with https://")
        return self

    @property
    def host(self) -> str:
        """Host and port, the only part of the URL in messages."""
        return urlsplit(self.url).netloc

    def files(self) -> Iterator[Path]:
        """Yield every file that a session of this connection depends on."""
        if self.authorization:
            yield self.authorization.credentials_file
        if self.basic_auth:
            yield self.basic_auth.password_file
        yield from (f for f in (self.tls.ca_file, self.tls.cert_file, self.tls.key_file) if f)


class Connections(Section):
    """Content of the connections file."""

    connections: dict[Name, Connection] = {}

    def get(self, name: str) -> Connection:
        found = self.connections.get(name)
        if found is None:
            known = ", ".join(sorted(self.connections)) or "none"
            raise TerminalError("ConnectionNotFound", f"there is no connection {name!r}; connections are: {known}")
        return found


def load(path: Path) -> Connections:
    """Read the file. Error messages do not contain its content."""
    try:
        content = read_document(path)
    except YamlFileError as error:
        raise TerminalError("ConnectionInvalid", str(error)) from error
    try:
        return Connections.model_validate({} if content is None else content)
    except ValidationError as error:
        raise TerminalError(
            "ConnectionInvalid", f"{path}: {_problems(error)}"
        ) from None  # the exception contains the input


def _problems(error: ValidationError) -> str:
    found = [
        f"{'.'.join(str(step) for step in e['loc']) or 'file'}: {e['msg'].removeprefix('Value error, ')}"
        for e in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    more = len(found) - MAX_SHOWN_PROBLEMS
    return "; ".join(found[:MAX_SHOWN_PROBLEMS]) + (f"; and {more} more" if more > 0 else "")
