"""The proxy that the environment gives for a URL, by Go's rules, as Flagger's users know them: $HTTP_PROXY, $HTTPS_PROXY, $NO_PROXY.

Go never takes a proxy for loopback, and takes networks in $NO_PROXY; $ALL_PROXY counts too, where nothing else is given.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass


def of_environment() -> frozenset[str]:
    """The URLs of all proxies that the environment gives."""
    return frozenset(url for scheme, url in getproxies_environment().items() if scheme != "no")


class Proxies:
    """The environment as it was when this was made."""

    def __init__(self) -> None:
        self._proxies = getproxies_environment()
        self._networks = list(_networks(self._proxies.get("no", "")))

    def of(self, url: str) -> str | None:
        """The proxy for a URL, None for none."""
        if not self._proxies:
            return None
        parts = urlsplit(url)
        proxy = self._proxies.get(parts.scheme) or self._proxies.get("all")
        if not proxy or self._bypassed(parts.hostname or "", parts.netloc.rpartition("@")[2]):
            return None
        return proxy if "://" in proxy else f"http://{proxy}"

    def _bypassed(self, host: str, place: str) -> bool:
        if host == "localhost" or proxy_bypass(place):
            return True
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        return address.is_loopback or any(address in network for network in self._networks if network.version == address.version)


def _networks(no_proxy: str) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    found = []
    for part in no_proxy.split(","):
        if "/" in part:
            try:
                found.append(ipaddress.ip_network(part.strip(), strict=False))
            except ValueError:
                continue
    return found
