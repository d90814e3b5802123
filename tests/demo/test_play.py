"""The play and its objects: accepted by our own models, and true to the story."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from e2e.demo import manifests
from e2e.demo.play import PROVIDERS, prologue, public_images, sandbox_images, stories
from e2e.demo.stage import fails
from flaggerpy.api.canary import CanarySpec, parse_canary
from flaggerpy.api.problems import spec_problems
from flaggerpy.routers.registry import router_for

IMAGES = sandbox_images("127.0.0.1:5000")
PLACE = manifests.Place("projectcontour", "contour", "http://127.0.0.1:8080", "x.example.com", "http://p:9090", IMAGES, envoy_metrics=True)


ENTRANCES = {"gatewayapi:v1": [], "contour": ["HTTPProxy"], "traefik": ["IngressRoute"], "kubernetes": ["HTTPRoute"]}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_provider_takes_the_demos_canary_and_has_an_entrance(provider: str) -> None:
    place = replace(PLACE, provider=provider)
    for gate, check_images in (("", False), ("http://127.0.0.1:1/gate", False), ("", True)):
        obj = manifests.canary(place, gate, trial="http://127.0.0.1:1/trial", check_images=check_images)
        canary = parse_canary({**obj, "metadata": {**obj["metadata"], "uid": "u"}})
        assert spec_problems(obj) == []
        assert router_for(provider).problems(canary) == []
        assert router_for(provider).warnings(canary) == []
    assert [obj["kind"] for obj in manifests.entrance(place)] == ENTRANCES[provider]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_prologue_says_whether_there_are_weights(provider: str) -> None:
    told = " ".join(prologue(provider))
    assert ("20, 40 and 60 %" in told) == ("stepWeight" in manifests.canary(replace(PLACE, provider=provider))["spec"]["analysis"])


def test_the_default_is_the_gateway_api() -> None:
    assert PROVIDERS[0] == PLACE.provider == "gatewayapi:v1"
    assert manifests.canary(PLACE, trial="http://127.0.0.1:1/trial") == manifests.canary(PLACE)


def test_without_weights_a_version_is_tried_and_meets_nobody() -> None:
    spec = CanarySpec.model_validate(manifests.canary(replace(PLACE, provider="kubernetes"), trial="http://127.0.0.1:1/trial")["spec"])
    assert (spec.strategy, spec.plan.iterations, spec.plan.metrics) == ("blue-green", 3, [])
    assert [(hook.name, hook.role) for hook in spec.plan.webhooks] == [("trial", "rollout")]
    told = {act.key: act for act in stories(IMAGES, "kubernetes")}
    assert {act.highest_weight for act in told.values()} == {0}
    assert not any(act.may_lose or act.needs_metrics for act in told.values())
    assert (told["d"].fail_at, told["d"].cause_names) == (0, ("trial",))
    assert [act.outcome for act in told.values()] == [act.outcome for act in stories(IMAGES)]


def test_the_canary_takes_20_40_and_60_percent_every_2_seconds() -> None:
    spec = CanarySpec.model_validate(manifests.canary(PLACE)["spec"])
    assert (spec.plan.step_weight, spec.plan.max_weight, spec.plan.interval_seconds) == (20, 60, 4.0)
    assert spec.pod_health.settle_seconds == 2.0
    assert spec.strategy == "canary"


def test_success_is_measured_at_the_gateway_where_that_is_possible() -> None:
    (metric,) = manifests.canary(PLACE)["spec"]["analysis"]["metrics"]
    assert metric["query"] == (
        '100 * sum(rate(envoy_cluster_upstream_rq{envoy_cluster_name=~"{{ namespace }}_{{ service }}-canary_[0-9]+"'
        ',envoy_response_code!~"5.*"}[{{ interval }}])) / '
        'sum(rate(envoy_cluster_upstream_rq{envoy_cluster_name=~"{{ namespace }}_{{ service }}-canary_[0-9]+"}[{{ interval }}]))'
    )


def test_gate_and_image_check_are_there_only_where_the_story_has_them() -> None:
    assert "webhooks" not in manifests.canary(PLACE)["spec"]["analysis"]
    assert CanarySpec.model_validate(manifests.canary(PLACE, check_images=True)["spec"]).pod_health.image_check == "Fail"
    spec = CanarySpec.model_validate(manifests.canary(PLACE, "http://127.0.0.1:1/gate")["spec"])
    assert [(hook.name, hook.role) for hook in spec.plan.webhooks] == [("ask-ops", "confirm-promotion")]


def test_without_prometheus_nothing_is_measured() -> None:
    place = manifests.Place("ns", "gw", "http://x", "x", "", public_images())
    assert "metrics" not in manifests.canary(place)["spec"]["analysis"]


@pytest.mark.parametrize("images", [IMAGES, public_images(), public_images("registry:5000")])
def test_every_story_is_another_template_with_the_same_labels(images: Any) -> None:
    acts = stories(images)
    templates = [manifests.first_release(images)["spec"]["template"], *(act.template for act in acts)]
    assert len({str(template) for template in templates}) == 7
    assert all(template["metadata"]["labels"] == {"app": "podinfo"} for template in templates)
    assert [act.key for act in acts] == ["a", "b", "c", "d", "e", "f"]


def test_the_accounts_kubeconfig_has_the_cluster_of_the_named_context_and_no_other_credential() -> None:
    config = {
        "current-context": "one",
        "contexts": [
            {"name": "one", "context": {"cluster": "c1", "user": "admin"}},
            {"name": "two", "context": {"cluster": "c2", "user": "admin"}},
        ],
        "clusters": [{"name": "c1", "cluster": {"server": "https://1"}}, {"name": "c2", "cluster": {"server": "https://2"}}],
        "users": [{"name": "admin", "user": {"client-key-data": "secret"}}],
    }
    made = manifests.account_kubeconfig(config, "two", "t0k3n")
    assert [cluster["cluster"]["server"] for cluster in made["clusters"]] == ["https://2"]
    assert "secret" not in str(made)
    assert manifests.account_kubeconfig(config, "", "t")["clusters"][0]["cluster"]["server"] == "https://1"
    with pytest.raises(KeyError, match="three"):
        manifests.account_kubeconfig(config, "three", "t")


def status(**container: Any) -> dict[str, Any]:
    return {"status": {"containerStatuses": [container]}}


def test_the_first_report_of_a_failure_is_told_from_a_start() -> None:
    assert not fails({"status": {}})
    assert not fails(status(state={"waiting": {"reason": "ContainerCreating"}}))
    assert not fails(status(state={"running": {}}))
    assert fails(status(state={"waiting": {"reason": "ErrImagePull"}}))
    assert fails(status(state={"terminated": {"exitCode": 1}}))
    assert fails(status(state={"running": {}}, lastState={"terminated": {"exitCode": 1}}))


def test_the_page_of_the_manual_has_every_variable_of_the_program() -> None:
    root = Path(__file__).parents[2]
    used = set(re.findall(r'environ.get\("([A-Z]+)"', (root / "e2e" / "demo" / "__main__.py").read_text()))
    page = (root / "docs" / "demo.md").read_text()
    assert used >= {"CONTEXT", "GATEWAY", "URL", "PROMETHEUS", "REGISTRY", "RATE"}
    assert {name for name in used - {"KUBECONFIG"} if f"| `{name}` |" not in page} == set()
