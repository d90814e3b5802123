"""The example policies of docs/security.md: what they refuse to a tenant, and what they leave to everybody else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e import releases
from e2e.core.controllers import Controller
from e2e.kube import Kube, KubeError, Object, until

TENANTS = {"name": "tenants", "namespace": "gateways"}
EXAMPLES = Path(__file__).parents[2] / "examples" / "security"


def example(name: str) -> list[Object]:
    return [each for each in yaml.safe_load_all((EXAMPLES / name).read_text()) if each]


def asked(kube: Kube, namespace: str, **service: Any) -> str:
    """What the API server says to a new Canary at the tenants' Gateway with this in its `service`, unmade; "" when it takes it."""
    obj = releases.canary("app", f"app.{namespace}.example.com", analysis={"interval": "10s", "threshold": 2, "stepWeight": 50})
    obj["spec"]["service"] |= {"gatewayRefs": [TENANTS], **service}
    try:
        kube.ask("POST", kube.path("Canary", namespace), obj, dryRun="All")
    except KubeError as error:
        return str(error)
    return ""


def label(kube: Kube, namespace: str, tenant: str | None) -> None:
    """Make the namespace a tenant's, or nobody's, and wait until the policy knows."""
    kube.patch("Namespace", namespace, {"metadata": {"labels": {"tenant": tenant}}})
    refused = tenant is not None
    until(lambda: bool(asked(kube, namespace, hosts=["shop.example.org"])) == refused, 30, "the label is seen")


@pytest.fixture
def policy(kube: Kube, controller: Controller, namespace: str) -> str:
    """The namespace of a tenant, to which the policy applies."""
    kube.apply(*example("admission-policy.yaml"))
    label(kube, namespace, "true")
    return namespace


def test_the_admission_policy_holds_tenants_to_hosts_gateways_and_annotations(kube: Kube, policy: str) -> None:
    assert asked(kube, policy) == ""
    assert asked(kube, policy, gateways=["mesh", "istio-system/tenants"]) == ""
    assert "hosts must end with the namespace" in asked(kube, policy, hosts=["shop.example.org"])
    assert "gateways may be" in asked(kube, policy, gateways=["istio-system/public"])
    for part in ("apex", "primary", "canary"):
        assert asked(kube, policy, **{part: {"labels": {"team": "x"}, "annotations": {"team": "x"}}}) == ""
        for annotation in ("nginx.ingress.kubernetes.io/configuration-snippet", "external-dns.alpha.kubernetes.io/hostname"):
            assert f"annotations of service.{part}" in asked(kube, policy, **{part: {"annotations": {annotation: "x"}}})


def test_a_tenant_gets_no_route_for_every_host_of_a_gateway_and_none_at_a_gateway_of_others(kube: Kube, policy: str) -> None:
    own = {"group": "", "kind": "Service", "name": "app"}
    assert asked(kube, policy, hosts=[], gatewayRefs=[own]) == ""
    assert asked(kube, policy, hosts=[], gatewayRefs=[own | {"namespace": policy}]) == ""
    assert "must name its hosts" in asked(kube, policy, hosts=[])
    assert "must name its hosts" in asked(kube, policy, hosts=[], gatewayRefs=[own, TENANTS])
    for wrong in (TENANTS | {"name": "public"}, {"name": "tenants"}, TENANTS | {"namespace": policy}, own | {"namespace": "gateways"}):
        assert "gatewayRefs may be" in asked(kube, policy, gatewayRefs=[wrong])


def test_a_canary_from_before_is_judged_when_its_spec_changes_and_can_go_until_then(kube: Kube, policy: str) -> None:
    before = releases.canary("before", "shop.example.org", analysis={"interval": "10s", "threshold": 2, "stepWeight": 50})
    label(kube, policy, None)
    kube.apply(before, namespace=policy)
    label(kube, policy, "true")
    kube.patch("Canary", "before", {"metadata": {"labels": {"team": "x"}, "finalizers": ["example.com/held"]}}, policy)
    with pytest.raises(KubeError, match="hosts must end with the namespace"):
        kube.patch("Canary", "before", {"spec": {"progressDeadlineSeconds": 61}}, policy)
    kube.delete("Canary", "before", policy)
    kube.patch("Canary", "before", {"metadata": {"finalizers": []}}, policy)
    until(lambda: kube.find("Canary", "before", policy) is None, 30, "the Canary to be gone")


def test_whoever_is_no_tenant_is_left_alone(kube: Kube, policy: str) -> None:
    label(kube, policy, None)
    assert asked(kube, policy, hosts=["shop.example.org"]) == ""


def test_the_network_policy_is_taken_as_it_stands(kube: Kube, namespace: str) -> None:
    """Nothing here enforces it: that is the affair of a cluster's network."""
    for obj in example("network-policy.yaml"):
        obj["metadata"]["namespace"] = namespace
        kube.ask("POST", kube.path(obj["kind"], namespace, api_version=obj["apiVersion"]), obj, dryRun="All", fieldValidation="Strict")
