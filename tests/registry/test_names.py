"""The name server of tests: known names, unknown ones, silence."""

from __future__ import annotations

import socket
import struct

import pytest

from e2e.registry.names import AAAA, A, NameServer


def ask(server: NameServer, name: str, kind: int = A, timeout: float = 2.0) -> tuple[int, list[str]]:
    """The answer's code, and the addresses in it."""
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    query = struct.pack("!HHHHHH", 77, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", kind, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.settimeout(timeout)
        asker.sendto(query, ("127.0.0.1", server.port))
        told = asker.recv(4096)
    number, flags, _, answers, _, _ = struct.unpack_from("!HHHHHH", told)
    assert number == 77
    return flags & 0xF, [socket.inet_ntoa(told[-4:])] if answers else []


def test_known_names_have_an_address_and_others_do_not_exist() -> None:
    with NameServer({"registry.test": "10.88.0.1"}, port=0) as server:
        assert ask(server, "Registry.test") == (0, ["10.88.0.1"])
        assert ask(server, "registry.test", AAAA) == (0, [])
        assert ask(server, "other.test") == (3, [])
        server.names["other.test"] = "10.88.0.2"
        assert ask(server, "other.test") == (0, ["10.88.0.2"])
        assert server.asked == ["registry.test", "registry.test", "other.test", "other.test"]


def test_of_some_names_nothing_is_said() -> None:
    with NameServer({"registry.test": None}, port=0) as server:
        with pytest.raises(TimeoutError):
            ask(server, "registry.test", timeout=0.2)
        assert ask(server, "other.test") == (3, [])
