"""docs/tutorial.md as a newcomer types it: every command of the page, in its order, in one shell inside the sandbox.

The commands of the first part, which make the sandbox and the image, are what the suite itself stands on; those after `exit` take it away.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from e2e.install.images import push_ours
from e2e.install.installation import NAMESPACE
from e2e.kube import Kube
from e2e.sandbox import Sandbox
from e2e.sandbox.build import part_dir, part_named
from flaggerpy import __version__

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "tutorial.md"
FAILS = "# exit code 1"
SECONDS = 240.0


def blocks(text: str) -> list[tuple[str, str]]:
    """The fenced blocks of a page: language and content."""
    return [(language, content) for language, content in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)]


def commands() -> list[str]:
    """From step 2 on, without what ends the shell and the sandbox."""
    text = PAGE.read_text()
    found = []
    for language, content in blocks(text[text.index("## 2.") : text.index("## On kind")]):
        if not language:
            found += [line.strip() for line in re.sub(r"\\\n\s*", "", content).splitlines() if line.strip()]
    return found[: found.index("exit")]


def manifests() -> list[str]:
    """`shop.yaml` and `canary.yaml`."""
    return [content for language, content in blocks(PAGE.read_text()) if language == "yaml"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a newcomer is: the repository, with the two files that the page has them save."""
    for name, text in zip(("shop.yaml", "canary.yaml"), manifests(), strict=True):
        (tmp_path / name).write_text(text)
    (tmp_path / "charts").symlink_to(ROOT / "charts")
    return tmp_path


def test_every_command_of_the_tutorial(kube: Kube, sandbox: Sandbox, folder: Path) -> None:
    assert f"{sandbox.registry}/flaggerpy --set image.tag={__version__}" in " ".join(commands())
    push_ours(sandbox, __version__)
    path = [str(Path(sys.executable).parent), str(part_dir(part_named("helm"))), str(sandbox.kubectl.parent), os.environ["PATH"]]
    env = {**os.environ, "KUBECONFIG": str(sandbox.kubeconfig), "PATH": ":".join(path), "NO_COLOR": "1"}
    try:
        for command in commands():
            shell = ["bash", "-c", command]
            done = subprocess.run(shell, cwd=folder, env=env, capture_output=True, text=True, timeout=SECONDS, check=False)
            wanted = 1 if FAILS in command else 0
            assert done.returncode == wanted, f"{command}\n{done.stdout}{done.stderr}"
            if command.startswith("flaggerpy describe"):
                assert "toggle:9.9.9" in done.stdout
                assert "not found" in done.stdout
            if command.startswith("curl"):
                assert "1.0.0" in done.stdout
    finally:
        kube.delete("Namespace", "shop")
        ended = ["helm", "uninstall", "flagger", "--namespace", NAMESPACE, "--ignore-not-found"]
        subprocess.run(ended, env=env, check=False, timeout=SECONDS)
