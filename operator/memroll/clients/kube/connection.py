"""Configuration of the connection to the API server: a service account or a kubeconfig, and the proxy.

`api_client` connects with it. The environment is read once: by default the HTTP client would read it, and `~/.netrc`,
at each request.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config

from memroll.clients.kube.kubeconfig import missing_kubeconfig
from memroll.errors import TerminalError

if TYPE_CHECKING:
    from collections.abc import Iterator

KUBE_CONFIG_LOGGER = "kubernetes.aio.config.kube_config"
"""Logger of the library's reader of kubeconfigs."""
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
    configuration.proxy = configuration.proxy or environment_proxy(configuration.host)
    return configuration


async def _load_kubeconfig(configuration: Configuration, kubeconfig: str | None, context: str | None) -> None:
    """Fill in the cluster and the user of a kubeconfig; raise TerminalError for a file that can't be used.

    The library raises any exception for a malformed file, and only logs an error of a credential plugin: the requests
    would then be sent without credentials.
    """
    if problem := missing_kubeconfig(kubeconfig):
        raise TerminalError("NoCluster", f"no service account, and no kubeconfig: {problem}"[:MAX_ERROR_CHARS])
    with _errors_of_library() as logged:
        try:
            await load_kube_config(
                config_file=kubeconfig, context=context, client_configuration=configuration, persist_config=False
            )
        except Exception as error:
            is_bare = not isinstance(error, ConfigException | OSError)
            text = f"{type(error).__name__}: {error}" if is_bare else str(error)
            raise _unusable(text) from error
    if logged:
        raise _unusable(logged[0])


def _unusable(text: str) -> TerminalError:
    message = f"no service account and no usable kubeconfig: {' '.join(text.split())}"
    return TerminalError("NoCluster", message[:MAX_ERROR_CHARS])


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
