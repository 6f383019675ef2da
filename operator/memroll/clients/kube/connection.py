"""Configuration of the connection to the API server: a service account or a kubeconfig, and the proxy.

`api_client` connects with it. The environment is read once: by default the HTTP client would read it, and `~/.netrc`,
at each request.
"""

from __future__ import annotations

import ast
import asyncio
import logging
import re
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config

from memroll.clients.kube.kubeconfig import default_kubeconfig, missing_kubeconfig
from memroll.clients.kube.kubeconfig_checks import find_defect
from memroll.errors import TerminalError
from memroll.evidence.redact import redact_secrets

if TYPE_CHECKING:
    from collections.abc import Iterator

KUBE_CONFIG_LOGGER = "kubernetes.aio.config.kube_config"
"""Logger of the library's reader of kubeconfigs."""
PLUGIN_TIMEOUT_S = 60.0
"""Time limit in seconds of a credential plugin; chosen by hand: its own prompts are not shown."""
PLUGIN_HANGS = f"the credential plugin did not end in {PLUGIN_TIMEOUT_S:.0f} s: to log in, run kubectl before"
_PLUGIN_FAILED = re.compile(r"exec: process returned (?P<code>-?\d+)\.? ?(?P<printed>.*)", re.DOTALL)
_CONTENT = re.compile(r"\{.*\}", re.DOTALL)
"""Part of a kubeconfig that the library quotes in its message; it may have a token."""
MAX_ERROR_CHARS = 300
"""Maximum length of an error message, in characters; chosen by hand."""


async def load_configuration(kubeconfig: str | None = None, context: str | None = None) -> Configuration:
    """Return the configuration by the given kubeconfig; default: the pod's service account, else `KUBECONFIG`.

    A context is one of the kubeconfig, so it is used instead of the service account.
    """
    configuration = Configuration()
    if kubeconfig or context or not _load_service_account(configuration):
        await _load_kubeconfig(configuration, kubeconfig, context)
    configuration.retries = None  # None means no retries; the client would read False as the number 0
    configuration.client_session_kwargs = {"trust_env": False}
    configuration.proxy = _checked_proxy(configuration.proxy or environment_proxy(configuration.host))
    return configuration


async def _load_kubeconfig(configuration: Configuration, kubeconfig: str | None, context: str | None) -> None:
    """Fill in the cluster and the user of a kubeconfig; raise TerminalError for a file that can't be used.

    The library raises any exception for a malformed file, and only logs an error of a credential plugin: the requests
    would then be sent without credentials.
    """
    if problem := missing_kubeconfig(kubeconfig):
        raise TerminalError("NoCluster", f"no service account, and no kubeconfig: {problem}"[:MAX_ERROR_CHARS])
    if defect := find_defect(kubeconfig, context):
        raise _unusable(defect)
    file = kubeconfig or default_kubeconfig()
    with _errors_of_library() as logged:
        try:
            async with asyncio.timeout(PLUGIN_TIMEOUT_S):
                await load_kube_config(
                    config_file=file, context=context or None, client_configuration=configuration, persist_config=False
                )
        except TimeoutError as error:
            raise _unusable(f"{file}: {PLUGIN_HANGS}") from error
        except Exception as error:
            is_bare = not isinstance(error, ConfigException | OSError)
            text = f"{type(error).__name__}: {error}" if is_bare else str(error)
            raise _unusable(text) from error
    if logged:
        raise _unusable(logged[0])


def _unusable(text: str) -> TerminalError:
    message = f"no usable kubeconfig: {' '.join(_readable(text).split())}"
    return TerminalError("NoCluster", message[:MAX_ERROR_CHARS])


def _readable(text: str) -> str:
    """Return a message of the library with what a failed plugin has printed: its last line, without secrets."""
    found = _PLUGIN_FAILED.fullmatch(text)
    if found is None:
        return (
            _CONTENT.sub("...", text)
            .replace("exec: ", "credential plugin: ")
            .replace("does not exists", "does not exist")
        )
    with suppress(ValueError, SyntaxError):
        printed = ast.literal_eval(found["printed"]).decode(errors="replace").strip().splitlines()
        return f"the credential plugin ended with {found['code']}: {redact_secrets(printed[-1]) if printed else ''}"
    return f"the credential plugin ended with {found['code']}"


@contextmanager
def _errors_of_library() -> Iterator[list[str]]:
    """Collect the errors that the library logs, instead of having them logged."""
    found: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno >= logging.ERROR:
                found.append(record.getMessage())

    library, collector = logging.getLogger(KUBE_CONFIG_LOGGER), Collector()
    before, library.propagate = library.propagate, False
    library.addHandler(collector)
    try:
        yield found
    finally:
        library.removeHandler(collector)
        library.propagate = before


def _checked_proxy(proxy: str | None) -> str | None:
    """Return the URL of a proxy; raise TerminalError for any other text, which the message must not contain."""
    if not proxy:
        return None
    url = proxy if "://" in proxy else f"http://{proxy}"
    try:
        parts = urlsplit(url)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url:
        message = "the address of the proxy is invalid: check the proxy: HTTPS_PROXY, or proxy-url in the kubeconfig"
        raise TerminalError("ProxyInvalid", message)
    return url


def environment_proxy(url: str) -> str | None:
    """Return the proxy that `HTTPS_PROXY` and the like name for a URL now; None without one, and by `NO_PROXY`."""
    parts = urlsplit(url)
    if not parts.hostname or proxy_bypass(parts.hostname):
        return None
    return getproxies().get(parts.scheme)


def _load_service_account(configuration: Configuration) -> bool:
    """Fill in the pod's service account; return False outside of a pod. The client rereads the token each minute."""
    try:
        load_incluster_config(client_configuration=configuration)
    except ConfigException:
        return False
    return True
