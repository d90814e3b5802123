"""The rooms of the house may only import downwards; this test reads the import graph (see docs: architecture)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "flaggerpy"

MAY_IMPORT: dict[str, set[str]] = {
    "api": set(),
    "lean": set(),
    "egress": {"lean"},
    "http": {"api", "egress", "lean"},
    "rollout": {"api"},
    "targets": {"api"},
    "routers": {"api"},
    "metrics": {"api", "egress", "http"},
    "hooks": {"api", "http"},
    "alerts": {"api", "http"},
    "images": {"api", "http"},
    "cluster": {"api", "lean"},
    "telemetry": {"api"},
    "observe": {"telemetry"},
    "model": {"api", "rollout"},
    "dashboard": {"api", "rollout", "cluster", "telemetry"},
    "controller": {
        "api", "egress", "http", "rollout", "targets", "routers", "metrics", "hooks", "alerts", "images", "cluster", "telemetry",
        "dashboard", "lean",
    },
    "cli": {
        "api", "egress", "http", "rollout", "targets", "routers", "metrics", "hooks", "alerts", "images", "cluster", "telemetry",
        "model", "controller",
    },
}
PURE = {"rollout", "targets", "routers", "api", "model", "images"}
IMPURE = {"asyncio", "time", "random", "logging", "httpx", "aiohttp", "kubernetes", "kopf", "requests", "os", "socket"}


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def room_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


FILES = sorted(path for path in ROOT.rglob("*.py") if room_of(path) in MAY_IMPORT)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_imports_only_what_lies_below_it(path: Path) -> None:
    room = room_of(path)
    rooms = {name.split(".")[1] for name in imported(path) if name.startswith("flaggerpy.")} & MAY_IMPORT.keys()
    assert rooms - {room} <= MAY_IMPORT[room]


@pytest.mark.parametrize("path", [path for path in FILES if room_of(path) in PURE], ids=lambda path: str(path.relative_to(ROOT)))
def test_the_pure_rooms_import_nothing_that_acts(path: Path) -> None:
    # api/crds.py and its like write generated files when run as a program; they declare it by a main guard
    allowed = {"os"} if "__main__" in path.read_text() else set()
    assert {name.split(".")[0] for name in imported(path)} & IMPURE <= allowed


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_one_file_loads_the_client_of_kubernetes(path: Path) -> None:
    """It does so without the synchronous client, which takes 8 MB (flaggerpy/lean.py)."""
    assert path.name == "aio.py" or not any(name.split(".")[0] == "kubernetes" for name in imported(path))
