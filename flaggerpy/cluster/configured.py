"""Where the API server is, and who we are there: a kubeconfig, or the service account of the pod, read by the library's own loaders."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass

import yaml

from flaggerpy.cluster.aio import SERVICE_HOST_ENV_NAME, SERVICE_TOKEN_FILENAME, Configuration, config
from flaggerpy.cluster.errors import NotConfigured

# the library's loaders carry no types
kube_config: Any = config

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Configured:
    """Server, TLS and credentials, and the namespace that is meant where none is given."""

    configuration: Configuration
    namespace: str
    refresh: Callable[[], Coroutine[Any, Any, None]] | None = None
    """Keeps credentials alive that are short-lived: to be run beside everything else; ends at once where there are none."""


async def configured(kubeconfig: str | None = None, context: str | None = None) -> Configured:
    """From `kubeconfig`, else $KUBECONFIG, else the pod's service account, else ~/.kube/config. Raises NotConfigured."""
    configuration = Configuration()
    path = kubeconfig or os.environ.get("KUBECONFIG") or ""
    in_pod = bool(os.environ.get(SERVICE_HOST_ENV_NAME)) and Path(SERVICE_TOKEN_FILENAME).exists()  # noqa: ASYNC240 - once, at start
    try:
        if in_pod and not path and not context:
            kube_config.load_incluster_config(client_configuration=configuration)
            return Configured(configuration, _pod_namespace())
        loader = await kube_config.load_kube_config(
            config_file=path or str(Path.home() / ".kube" / "config"),
            context=context,
            client_configuration=configuration,
            persist_config=False,
        )
        namespace = loader.current_context["context"].get("namespace") or "default"
    except (config.ConfigException, yaml.YAMLError, OSError, ValueError, KeyError, TypeError) as error:
        raise NotConfigured(f"no usable Kubernetes configuration: {' '.join(str(error).split())}") from error
    return Configured(configuration, namespace, partial(_refresh, loader, configuration))


def environment_proxy(url: str) -> str | None:
    """The proxy that $HTTPS_PROXY (or $HTTP_PROXY) and $NO_PROXY give for `url`, by the rules of curl."""
    parts = urlsplit(url)
    if proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    return getproxies_environment().get(parts.scheme)


async def _refresh(loader: Any, configuration: Configuration) -> None:
    # ends at once for credentials that do not change; the exec plugin's and GCP's are looked at every minute
    while True:
        try:
            await kube_config.refresh_token(loader, client_configuration=configuration)
            return
        except Exception as error:
            _log.warning("refreshing the credentials failed: %s", error)
            await asyncio.sleep(60)


def _pod_namespace() -> str:
    try:
        return Path(SERVICE_TOKEN_FILENAME).with_name("namespace").read_text().strip() or "default"
    except OSError:
        return "default"
