"""By which names the page may be opened where everybody who reaches it may read it. Pure.

A site of somebody else can let its own name lead to an address that only its visitor reaches, such as that of a port-forward (DNS
rebinding): the visitor's browser then takes the page for a part of that site. But it says in `Host` by which name it came. Names that
nobody outside can let lead anywhere are well: addresses, names without a dot, and those of the cluster. All others the operator has to
list.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection

OURS = (".localhost", ".svc", ".cluster.local")


def name_of(host: str) -> str:
    """The name in a Host header, in lower case and without its port; "" where there is none."""
    text = host.strip().lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.rpartition(":")[0] if text.count(":") == 1 else text


def may_open(host: str, listed: Collection[str]) -> bool:
    """Whether a request with this Host header is answered; one without it comes from no browser."""
    name = name_of(host).removesuffix(".")
    if "." not in name and ":" not in name:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name in listed or name.endswith(OURS)
    return True
