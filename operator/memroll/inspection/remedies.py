"""Errors as one line for a person at a terminal: the cause, and the remedy.

The operator has other remedies for the same errors, so they are found here by the reason of the error.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from memroll.errors import ClusterUnavailableError, NotFoundError, PrometheusUnavailableError

if TYPE_CHECKING:
    from memroll.errors import MemrollError

MAX_ERROR_CHARS = 500
"""Maximum length of an error message, in characters; chosen by hand."""
OF_THE_USER = frozenset(
    {
        "ConnectionInvalid",
        "ConnectionNotFound",
        "InvalidArgument",
        "NoHistory",
        "NoNamespace",
        "PolicyInvalid",
        "ReportInvalid",
        "SettingsInvalid",
        "TraceInvalid",
    }
)
"""Reasons of errors in an argument, or in a file that the user gave."""
REMEDIES = {
    "NoCluster": "set KUBECONFIG, or --kubeconfig and --context, to those of your cluster",
    "Timeout": "check that the cluster runs and that its address is reachable from here",
    "Unreachable": "check that the cluster runs and that its address is reachable from here",
    "ServerError": "the API server is overloaded or broken: try again",
    "TooManyRequests": "the API server is overloaded: try again",
    "Conflict": "someone else has changed the object: try again",
}
"""Remedy by the reason of an error."""
NOT_INSTALLED = "memroll is not installed in this cluster: install its chart, or 'memroll crds | kubectl apply -f -'"
NOT_LOGGED_IN = "the API server does not accept your credentials: log in again, or use another --context"
BY_TEXT = {
    "CERTIFICATE_VERIFY_FAILED": "the server is not the one of the kubeconfig, or its certificate-authority is old",
    "WRONG_VERSION_NUMBER": "the server does not speak TLS: its address may have to begin with http://",
    "not JSON": "a proxy or a login page may have responded: check the server's address in the kubeconfig",
    "page of HTML": "a proxy or a login page may have responded: check the server's address in the kubeconfig",
    "Proxy": "check the proxy: HTTPS_PROXY, NO_PROXY, or proxy-url in the kubeconfig",
}
"""Remedy by a part of the message of an error of the connection, before the one by its reason."""
ERROR_CLASS = re.compile(r"^(Client\w*Error|InvalidURL|\w*Error) (?=\S)")
"""Class of the HTTP client's error at the beginning of a message."""
REQUEST = re.compile(r"^(GET|POST|PUT|PATCH|DELETE) (\S+): ")
"""Beginning of the message of a request that failed."""
OWN_PATH = "/memroll.dev/"
"""Part of the path of every request for memroll's kinds."""
OBJECT = re.compile(r'"[^"]+" not found')
"""Part of the API server's message for an object that does not exist. A kind that it does not serve has another one."""
FORBIDDEN = re.compile(r'cannot (?P<verb>\w+) resource "(?P<resource>[\w./-]+)"(?: in API group "(?P<group>[\w.-]*)")?')


def describe(error: MemrollError) -> str:
    """Return the message of an error, with the remedy if there is one."""
    request = REQUEST.match(error.message)
    if isinstance(error, NotFoundError) and request and OWN_PATH in request[2] and not OBJECT.search(error.message):
        return NOT_INSTALLED
    text = (error.message[request.end() :] if request else error.message).strip()
    remedy = _remedy(error, text)
    text = ERROR_CLASS.sub("", text)
    return f"{text}: {remedy}"[:MAX_ERROR_CHARS] if remedy else text[:MAX_ERROR_CHARS]


def _remedy(error: MemrollError, text: str) -> str:
    if isinstance(error, PrometheusUnavailableError):
        return ""  # its messages have their own remedies
    if error.reason == "Forbidden":
        return _rights(text)
    remedy = REMEDIES.get(error.reason, "")
    if isinstance(error, ClusterUnavailableError):
        remedy = next((found for part, found in BY_TEXT.items() if part in text), remedy)
    if error.reason == "NoCluster" and "set KUBECONFIG" in text:
        return ""
    return remedy


def is_unauthorized(text: str) -> bool:
    """Return whether the API server has refused the credentials, rather than a permission."""
    return "unauthorized" in text.lower()


def _rights(text: str) -> str:
    """Return the remedy for status 401 or 403."""
    if is_unauthorized(text):
        return NOT_LOGGED_IN
    found = FORBIDDEN.search(text)
    if not found:
        return "your user lacks a permission: use another --context, or request it from an administrator"
    name = ".".join(part for part in (found["resource"], found["group"]) if part)
    return f"'kubectl auth can-i {found['verb']} {name}' must answer yes: request it from an administrator"
