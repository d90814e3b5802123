"""The reference pages are the generated ones, tell every field, and tell the models' own defaults."""

from __future__ import annotations

from typing import Any

import pytest

from flaggerpy.api import crds, reference
from flaggerpy.api.alertprovider import AlertProviderSpec
from flaggerpy.api.canary import CanarySpec
from flaggerpy.api.metrictemplate import MetricTemplateSpec


@pytest.mark.parametrize("name", reference.files())
def test_the_committed_pages_are_the_generated_ones(name: str) -> None:
    assert (reference.FOLDER / name).read_text() == reference.files()[name], "run python -m flaggerpy.api.reference"


def test_check_tells_which_page_drifted(tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(reference, "FOLDER", tmp_path / "docs" / "reference")
    assert reference.main(["--check"]) == 1
    assert reference.main([]) == 0
    assert reference.main(["--check"]) == 0
    assert "docs/reference/canary.md differs" in capsys.readouterr().out


@pytest.mark.parametrize("model", [CanarySpec, MetricTemplateSpec, AlertProviderSpec])
def test_descriptions_tell_the_models_defaults(model: Any) -> None:
    schema = model.model_json_schema(by_alias=True)
    for name, node in {model.__name__: schema, **schema.get("$defs", {})}.items():
        for field, child in node.get("properties", {}).items():
            default = child.get("default")
            if default is None or default in ([], {}, "") or isinstance(default, dict):
                continue
            told = str(default).lower() if isinstance(default, bool) else str(default)
            assert f"{told}" in child["description"], f"{name}.{field}"


def test_a_rule_stands_once_in_the_section_of_its_field() -> None:
    page = reference.files()["canary.md"]
    sections = {section.split("\n")[0]: section for section in page.split("\n## ")}
    assert page.count("stepWeights must rise") == 1
    assert "stepWeights must rise" in sections["spec.analysis"]
    assert "url must be a URL" in sections["spec.analysis.webhooks[]"]
    assert "min must not be greater" in sections["spec.analysis.metrics[].thresholdRange"]


def test_every_field_has_its_row() -> None:
    page = reference.files()["canary.md"]
    spec = crds.canary_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    for field in spec["properties"]["analysis"]["properties"]:
        assert f"| {field} |" in page or f"| **{field}** |" in page
