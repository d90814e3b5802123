"""A name server for tests: a few names and their addresses, silence for some, and "no such host" for all others."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading

A, AAAA = 1, 28
NXDOMAIN = 3
TTL = 0


class NameServer:
    """Answers on UDP between entering and leaving. `names` maps a host name to its IPv4 address, or to None: then nothing is answered.

    It may be changed meanwhile; nothing is to be cached. Raises OSError where the port is taken.
    """

    def __init__(self, names: dict[str, str | None], *, address: str = "127.0.0.1", port: int = 53) -> None:
        self.names = names
        self.asked: list[str] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((address, port))
        self._socket.settimeout(0.1)
        self.port = int(self._socket.getsockname()[1])
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True, name="name server")

    def __enter__(self) -> NameServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(5)
        self._socket.close()

    def _serve(self) -> None:
        while not self._over.is_set():
            with contextlib.suppress(TimeoutError, OSError, ValueError, IndexError, struct.error):
                query, asker = self._socket.recvfrom(4096)
                name, _ = question(query)
                self.asked.append(name)
                if self.names.get(name, "") is not None:
                    self._socket.sendto(answer(query, self.names.get(name) or ""), asker)


def question(query: bytes) -> tuple[str, int]:
    """The name (lower case, no final dot) and the type of a query's first question."""
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode("ascii"))
        at += 1 + query[at]
    (kind,) = struct.unpack_from("!H", query, at + 1)
    return ".".join(labels).lower(), kind


def answer(query: bytes, address: str) -> bytes:
    """The address for an A question, nothing for the name's other types, NXDOMAIN where there is no address (RFC 1035)."""
    _, kind = question(query)
    end = query.index(b"\0", 12) + 5
    records = b""
    if address and kind == A:
        records = struct.pack("!HHHIH", 0xC00C, A, 1, TTL, 4) + socket.inet_aton(address)
    code = 0 if address else NXDOMAIN
    flags = 0x8580 | code  # an authoritative answer; recursion is neither asked for nor refused
    return query[:2] + struct.pack("!HHHHH", flags, 1, 1 if records else 0, 0, 0) + query[12:end] + records
