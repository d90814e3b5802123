"""The manifests that the pages on metrics, webhooks and alerts show are ones that we take, and the templates among the examples render."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from flaggerpy.api.alertprovider import parse_alert_provider
from flaggerpy.api.canary import Analysis, HookType, Metric, Webhook, parse_canary
from flaggerpy.api.metrictemplate import parse_metric_template
from flaggerpy.metrics.evaluate import Query, Settings, checks, plan

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / "docs" / name for name in ("metrics.md", "webhooks.md", "alerting.md")]
BLOCKS = [(page.name, yaml.safe_load(text)) for page in PAGES for text in re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL)]
EXAMPLES = {path.name: yaml.safe_load(path.read_text()) for path in (ROOT / "examples").glob("*.yaml")}
TEMPLATES = {obj["metadata"]["name"]: parse_metric_template(obj) for obj in EXAMPLES.values() if obj["kind"] == "MetricTemplate"}


@pytest.mark.parametrize(("page", "block"), BLOCKS)
def test_what_the_pages_show_can_be_read_to_the_last_field(page: str, block: dict[str, Any]) -> None:
    kind = block.get("kind")
    if kind == "MetricTemplate":
        assert parse_metric_template(block).spec.model_dump(by_alias=True, exclude_unset=True) == block["spec"]
    elif kind == "AlertProvider":
        assert parse_alert_provider(block).spec.model_dump(by_alias=True, exclude_unset=True) == block["spec"]
    elif "webhooks" in block:
        for hook in block["webhooks"]:
            assert Webhook.model_validate(hook).model_dump(by_alias=True, exclude_unset=True) == hook
    else:
        assert Analysis.model_validate(block["analysis"]).model_dump(by_alias=True, exclude_unset=True) == block["analysis"]


def test_links_of_the_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def metrics_of_examples() -> list[tuple[str, dict[str, Any], Metric]]:
    canaries = [(name, obj) for name, obj in EXAMPLES.items() if obj["kind"] == "Canary"]
    return [(name, obj, metric) for name, obj in canaries for metric in parse_canary(obj).spec.plan.metrics]


@pytest.mark.parametrize(("name", "obj", "metric"), metrics_of_examples())
def test_every_metric_of_an_example_can_be_asked(name: str, obj: dict[str, Any], metric: Metric) -> None:
    template = TEMPLATES.get(metric.template_ref.name) if metric.template_ref else None
    for check in checks(metric):
        query = plan(parse_canary(obj), metric, check, template, {"token": "t"}, Settings(mesh_provider="kubernetes"))
        assert isinstance(query, Query), query
        assert "{{" not in query.text


def test_the_example_of_webhooks_has_every_type() -> None:
    hooks = parse_canary(EXAMPLES["webhooks.yaml"]).spec.plan.webhooks
    assert sorted(hook.role for hook in hooks) == sorted(HookType.__args__)  # type: ignore[attr-defined]


def test_an_optional_part_of_a_template_shows_only_when_its_variable_is_set() -> None:
    obj = EXAMPLES["metrics.yaml"]
    latency = next(metric for metric in parse_canary(obj).spec.plan.metrics if metric.name == "checkout-latency")
    query = plan(parse_canary(obj), latency, "template", TEMPLATES["latency"], {"token": "t"}, Settings())
    assert isinstance(query, Query)
    assert 'path="/checkout"' in query.text
    without = latency.model_copy(update={"template_variables": {"quantile": "0.95"}})
    shorter = plan(parse_canary(obj), without, "template", TEMPLATES["latency"], {"token": "t"}, Settings())
    assert isinstance(shorter, Query)
    assert "path" not in shorter.text
    assert query.request.headers["Authorization"] == "Bearer t"
    assert query.request.headers["X-Scope-Orgid"] == "shop"
