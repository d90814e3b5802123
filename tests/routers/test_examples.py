"""The manifests that the documentation of the providers refers to are taken by their routers as they stand."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from flaggerpy.api.canary import parse_canary
from flaggerpy.routers.base import RouteSplit, Settings
from flaggerpy.routers.registry import router_for

ROOT = Path(__file__).parent.parent.parent
CANARIES = [
    (path.name, document)
    for path in sorted((ROOT / "examples").glob("*.yaml"))
    for document in yaml.safe_load_all(path.read_text())
    if document and document["kind"] == "Canary"
]


def shown(provider: str) -> list[dict[str, Any]]:
    """The manifests of the user's own that the page of a provider shows."""
    blocks = re.findall(r"^```yaml\n(.*?)^```", (ROOT / "docs" / "providers" / f"{provider}.md").read_text(), re.DOTALL | re.MULTILINE)
    return [document for block in blocks for document in yaml.safe_load_all(block) if "kind" in document]


@pytest.mark.parametrize("document", [document for _, document in CANARIES], ids=[name for name, _ in CANARIES])
def test_an_example_is_routed_as_it_stands(document: dict[str, object]) -> None:
    canary = parse_canary(document)
    router = router_for(canary.spec.provider or "kubernetes")
    assert router.problems(canary) == []
    wanted = {(ref.kind, ref.name) for ref in router.objects(canary)}
    around = [obj for obj in shown((canary.spec.provider or "kubernetes").partition(":")[0]) if obj["metadata"]["name"] != canary.apex]
    made = {(obj["kind"], obj["metadata"]["name"]) for obj in router.desired(canary, RouteSplit(0), around, Settings())}
    assert made == wanted - {(obj["kind"], obj["metadata"]["name"]) for obj in around}


def test_every_page_of_a_provider_refers_to_examples_that_are_there() -> None:
    names = {path.name for path in (ROOT / "examples").glob("*.yaml")}
    for page in (ROOT / "docs" / "providers").glob("*.md"):
        words = {word.strip("`:;,.()") for word in page.read_text().split() if "examples/" in word}
        assert words, page.name
        assert {word.removeprefix("examples/") for word in words} <= names, page.name
