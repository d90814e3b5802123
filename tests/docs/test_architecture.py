"""The table of folders in docs/architecture.md: every room of the package is in it, and may import what the import graph is held to."""

from __future__ import annotations

import re
from pathlib import Path

from tests.test_imports import MAY_IMPORT

ROOT = Path(__file__).parents[2]


def rows() -> dict[str, str]:
    """What stands in the last column, by room."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    found = re.findall(r"^\| (`[^|]*`) \|[^|]*\|([^|]*)\|$", text[text.index("| folder |") :], re.M)
    return {room.removesuffix(".py").rstrip("/"): imports for names, imports in found for room in re.findall(r"`([^`]+)`", names)}


def test_the_table_has_every_room_of_the_package() -> None:
    rooms = {path.name.removesuffix(".py") for path in (ROOT / "flaggerpy").iterdir() if path.suffix == ".py" or path.is_dir()}
    assert rows().keys() == {room for room in rooms if not room.startswith("__")} == MAY_IMPORT.keys()


def test_the_table_says_what_a_room_may_import() -> None:
    told = {room: set(re.findall(r"`([a-z]+)`", imports)) for room, imports in rows().items() if "everything below" not in imports}
    assert told == {room: MAY_IMPORT[room] for room in told}
    assert {"cli", "controller"} == MAY_IMPORT.keys() - told.keys()
