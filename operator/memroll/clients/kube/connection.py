"""Configuration of the connection to the API server: a service account or a kubeconfig, and the proxy.

`api_client` connects with it. The environment is read once: by default the HTTP client would read it, and `~/.netrc`,
at each request.
"""

from __future__ import annotations

from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config

from memroll.clients.kube.kubeconfig import missing_kubeconfig
from memroll.errors import TerminalError

MAX_ERROR_CHARS = 300
"""Maximum length of an error message, in characters; chosen by hand."""


async def load_configuration(kubeconfig: str | None = None) -> Configuration:
    """Return the configuration by the given kubeconfig; default: the pod's service account, else `KUBECONFIG`."""
    configuration = Configuration()
    try:
        if kubeconfig or not _load_service_account(configuration):
            if problem := missing_kubeconfig(kubeconfig):
                raise TerminalError("NoCluster", f"no service account, and no kubeconfig: {problem}"[:MAX_ERROR_CHARS])
            await load_kube_config(config_file=kubeconfig, client_configuration=configuration, persist_config=False)
    except (ConfigException, OSError) as error:
        message = f"no service account and no usable kubeconfig: {error}"
        raise TerminalError("NoCluster", message[:MAX_ERROR_CHARS]) from error
    configuration.retries = None  # None means no retries; the client would read False as the number 0
    configuration.client_session_kwargs = {"trust_env": False}
    configuration.proxy = configuration.proxy or environment_proxy(configuration.host)
    return configuration


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
