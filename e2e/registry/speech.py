"""How a registry meets a new connection, before any request is read: plain, TLS, silent, or not at all."""

from __future__ import annotations

from dataclasses import dataclass

from e2e.registry.certificates import Certificate


@dataclass(frozen=True)
class Speech:
    """`certificate` is what a TLS client gets; with `plain` and without one HTTP is spoken, and with neither nothing is ever answered.
    `resets` ends every connection at once."""

    plain: bool = False
    certificate: Certificate | None = None
    resets: bool = False


PLAIN = Speech(plain=True)
SILENT = Speech()
RESETS = Speech(resets=True)


def tls(certificate: Certificate) -> Speech:
    """HTTPS; a client that speaks plain HTTP to it is told so with 400, as Go's servers do."""
    return Speech(certificate=certificate)
