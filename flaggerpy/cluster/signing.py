"""The field manager of a person's write: it is what the controller, and so the history, gets to know of who gave a command."""

from __future__ import annotations

LONGEST_MANAGER = 120
"""Bytes; the API server takes 128."""


def signed(program: str, person: str) -> str:
    """`flaggerpy-cli as ann`, of what the API server takes: printable letters, so many bytes. Without a name, the program alone."""
    printable = "".join(letter for letter in person if letter.isprintable())
    name = f"{program} as {printable}" if printable else program
    return name.encode()[:LONGEST_MANAGER].decode(errors="ignore")
