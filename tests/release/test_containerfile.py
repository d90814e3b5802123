"""The Containerfile says of a container what `make image` writes into the image, and fetches nothing that is not pinned by its hash."""

from __future__ import annotations

import json
import re
import shlex

import pytest

from release.image import ROOT, Source, settings

LINES = re.sub(r"\\\n\s*", "", (ROOT / "Containerfile").read_text()).splitlines()
LAST = LINES[LINES.index("FROM scratch") + 1 :]
WRITTEN = settings("1.2.3", Source("", 0, False), "")


def said(word: str) -> str:
    """What stands after this word in the last stage; "" where it does not stand there, and it may not twice."""
    found = [line.partition(" ")[2] for line in LAST if line.startswith(f"{word} ")]
    assert len(found) <= 1
    return found[0] if found else ""


@pytest.mark.parametrize(("word", "field"), [("USER", "User"), ("WORKDIR", "WorkingDir")])
def test_words_are_those_of_the_image(word: str, field: str) -> None:
    assert said(word) == WRITTEN[field]


@pytest.mark.parametrize(("word", "field"), [("ENTRYPOINT", "Entrypoint"), ("CMD", "Cmd")])
def test_commands_are_those_of_the_image(word: str, field: str) -> None:
    assert json.loads(said(word)) == WRITTEN[field]


def test_the_environment_is_that_of_the_image() -> None:
    assert shlex.split(said("ENV")) == WRITTEN["Env"]


def test_labels_are_among_those_of_the_image() -> None:
    labels = dict(pair.split("=", 1) for pair in shlex.split(said("LABEL")))
    assert labels
    assert labels.items() <= WRITTEN["Labels"].items()


def test_nothing_is_installed_by_pip_without_a_hash() -> None:
    installs = [line for line in LINES if "pip install" in line]
    assert installs
    assert all("--require-hashes -r release/builder.txt" in line for line in installs)
