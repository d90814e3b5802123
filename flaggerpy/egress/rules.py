"""Which addresses and schemes are open to addresses that tenants write: webhooks, metric servers, alert receivers, registries.

A table of networks, each open or closed; the most specific one that holds an address decides, and closed wins a tie. Built in as closed
are the addresses that give credentials of the node or of the cloud account to whoever asks, and what is no server at all. Private
networks are open: in-cluster Prometheus, load testers and registries are there. Loopback is closed where we run in a pod, as it is the
pod's own: side-cars have their administration there, which may end them by a POST.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass, field

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

SCHEMES = ("http", "https")
NAMES = frozenset({"metadata.google.internal", "metadata.goog", "metadata", "instance-data", "instance-data.ec2.internal"})
"""Names of metadata servers: for a proxy, which looks names up itself."""

_METADATA = "metadata of the cloud"
BUILT_IN = (
    ("169.254.0.0/16", f"link-local: {_METADATA}"),
    ("fe80::/10", "link-local"),
    ("fd00:ec2::/32", f"{_METADATA}, AWS"),
    ("fd20:ce::254/128", f"{_METADATA}, Google"),
    ("fd00:42::42/128", f"{_METADATA}, Scaleway"),
    ("100.100.100.200/32", f"{_METADATA}, Alibaba"),
    ("168.63.129.16/32", f"{_METADATA}, Azure"),
    ("192.0.0.192/32", f"{_METADATA}, Oracle"),
    ("0.0.0.0/8", "this host"),
    ("::/128", "this host"),
    ("224.0.0.0/4", "multicast"),
    ("ff00::/8", "multicast"),
    ("255.255.255.255/32", "broadcast"),
)
LOOPBACK = (("127.0.0.0/8", "loopback: the controller's own pod"), ("::1/128", "loopback: the controller's own pod"))

_NAT64 = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))
_COMPATIBLE = ipaddress.IPv6Network("::/96")


@dataclass(frozen=True, slots=True)
class Entry:
    """A network that is open or closed. `why` is for people, `source` the flag that it stands in, or "built in"."""

    network: Network
    open: bool
    why: str = ""
    source: str = "built in"

    def __str__(self) -> str:
        return f"{self.network} ({'; '.join(filter(None, (self.why, self.source)))})"


def _closed(rows: tuple[tuple[str, str], ...]) -> tuple[Entry, ...]:
    return tuple(Entry(ipaddress.ip_network(network), False, why) for network, why in rows)


@dataclass(frozen=True, slots=True)
class Egress:
    """The rules of one process. By default what is built in, with loopback open."""

    entries: tuple[Entry, ...] = field(default_factory=lambda: _closed(BUILT_IN))
    schemes: frozenset[str] = frozenset(SCHEMES)

    def closing(self, address: str) -> Entry | None:
        """The entry that closes an IP address, None when it is open. What is no address is closed by nothing."""
        try:
            given = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return None
        for form in forms(given):
            entry = self._decides(form)
            if entry is not None and not entry.open:
                return entry
        return None

    def _decides(self, address: Address) -> Entry | None:
        holding = [entry for entry in self.entries if entry.network.version == address.version and address in entry.network]
        return max(holding, key=lambda entry: (entry.network.prefixlen, not entry.open), default=None)


def forms(address: Address) -> Iterator[Address]:
    """An address, and the IPv4 addresses that it stands for: mapped, compatible, 6to4, Teredo, NAT64."""
    if isinstance(address, ipaddress.IPv4Address):
        yield address
        return
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
        return
    yield address
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    low = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if any(address in network for network in _NAT64) or (address in _COMPATIBLE and int(address) > 1):
        yield low


def parse(allow: str = "", deny: str = "", schemes: str = ",".join(SCHEMES), *, loopback: bool = True) -> Egress:
    """The rules of the flags `-egress-allow`, `-egress-deny` and `-egress-schemes`, lists with commas. `loopback`: open by default.

    Raises ValueError with a sentence.
    """
    entries = _closed(BUILT_IN) + (() if loopback else _closed(LOOPBACK))
    entries += tuple(Entry(network, False, source="-egress-deny") for network in _networks(deny, "-egress-deny"))
    entries += tuple(Entry(network, True, source="-egress-allow") for network in _networks(allow, "-egress-allow"))
    chosen = frozenset(part.strip().lower() for part in schemes.split(",") if part.strip())
    if not chosen or not chosen <= set(SCHEMES):
        raise ValueError(f"-egress-schemes={schemes}: should be http, https or both")
    return Egress(entries, chosen)


def _networks(text: str, flag: str) -> list[Network]:
    found = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        try:
            found.append(ipaddress.ip_network(part))
        except ValueError:
            raise ValueError(f"{flag}: {part} is no network such as 10.0.0.0/8, and no address") from None
    return found
