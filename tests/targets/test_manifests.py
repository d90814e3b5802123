"""What is made of targets, autoscalers, configs and budgets is, field by field, what it was when somebody last looked at a change."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.targets.manifests import KEPT, MANIFESTS

BEFORE: dict[str, Any] = yaml.safe_load(KEPT.read_text())


@pytest.mark.parametrize("name", sorted(MANIFESTS))
def test_a_manifest_is_what_it_was(name: str) -> None:
    assert MANIFESTS[name]() == BEFORE[name], "python -m tests.targets.manifests writes it: look at the diff"


def test_no_manifest_is_kept_that_is_not_made() -> None:
    assert set(BEFORE) == set(MANIFESTS)
