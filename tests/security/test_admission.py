"""The example of an admission policy bounds every field by which a Canary reaches a host, a gateway or another controller's annotations.

What its expressions say is the API server's affair: `e2e/core/test_policies.py`.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from flaggerpy.api.canary import Metadata, Service

POLICY = Path(__file__).parents[2] / "examples" / "security" / "admission-policy.yaml"
WITH_ANNOTATIONS = [field.alias or name for name, field in Service.model_fields.items() if field.annotation == Metadata | None]


@pytest.fixture(scope="module")
def expressions() -> list[str]:
    policy, _ = yaml.safe_load_all(POLICY.read_text())
    return [each["expression"] for each in policy["spec"]["validations"]]


@pytest.mark.parametrize("field", ["hosts", "gateways", "gatewayRefs", *(f"{name}.annotations" for name in WITH_ANNOTATIONS)])
def test_each_field_that_leads_outside_is_bounded(expressions: list[str], field: str) -> None:
    assert any(f"object.spec.service.{field}.all(" in text for text in expressions)


@pytest.mark.parametrize("name", ["apex", "primary", "canary"])
def test_the_metadata_of_all_three_services_is_known_here(name: str) -> None:
    assert name in WITH_ANNOTATIONS


def test_no_expression_reads_a_field_that_may_be_absent_without_asking(expressions: list[str]) -> None:
    for text in expressions:
        for field in ("hosts", "gateways", "gatewayRefs", *WITH_ANNOTATIONS):
            assert f"object.spec.service.{field}" not in text or f"has(object.spec.service.{field})" in text
        assert text.startswith("!has(object.spec.service) ||")
