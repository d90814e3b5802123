"""Reads, without running anything, which tests say that they show a fault absent."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("tests", "e2e")


def marked() -> dict[str, list[str]]:
    """Number of a fault to the tests that carry its mark, as `path::name` from the root, in the order of the files."""
    found: dict[str, list[str]] = {}
    for folder in FOLDERS:
        for file in sorted((ROOT / folder).rglob("test_*.py")):
            for number, name in marks_of(file.read_text()):
                found.setdefault(number, []).append(f"{file.relative_to(ROOT)}::{name}")
    return found


def marks_of(source: str) -> Iterator[tuple[str, str]]:
    """(number of the fault, name of the test) for each mark of a file, those of single parameters among them."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith("test_"):
            for decorator in node.decorator_list:
                for inner in ast.walk(decorator):
                    if isinstance(inner, ast.Call) and ast.unparse(inner.func) == "pytest.mark.fault":
                        yield from ((ast.literal_eval(argument), node.name) for argument in inner.args)
