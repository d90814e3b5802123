"""Every example is one that this controller takes, without a word of reproach."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from flaggerpy.api.canary import parse_canary
from flaggerpy.api.problems import BUILT_PROVIDERS, alert_provider_problems, metric_template_problems, spec_problems, warnings

FOLDER = Path(__file__).parent.parent.parent / "examples"
OBJECTS: dict[str, dict[str, Any]] = {path.name: yaml.safe_load(path.read_text()) for path in sorted(FOLDER.glob("*.yaml"))}


@pytest.mark.parametrize("name", OBJECTS)
def test_an_example_has_no_problems(name: str) -> None:
    obj = OBJECTS[name]
    if obj["kind"] == "Canary":
        assert spec_problems(obj) == []
        assert warnings(parse_canary(obj)) == []
    elif obj["kind"] == "MetricTemplate":
        assert metric_template_problems(obj) == []
    else:
        assert alert_provider_problems(obj) == []


def test_every_family_of_providers_has_an_example() -> None:
    shown = {obj["spec"]["provider"].partition(":")[0] for obj in OBJECTS.values() if obj["kind"] == "Canary"}
    assert shown == {provider.partition(":")[0] for provider in BUILT_PROVIDERS}
