"""The role is the least that is needed, and deploy/rbac.yaml is generated from it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from flaggerpy.controller import rbac

ROOT = Path(__file__).parent.parent.parent


def test_the_stored_manifest_is_what_is_generated() -> None:
    stored = (ROOT / "deploy" / "rbac.yaml").read_text()
    assert stored == rbac.printed(), "run `python -m flaggerpy.controller.rbac > deploy/rbac.yaml`"


def test_the_charts_rules_are_what_is_generated() -> None:
    stored = (ROOT / "charts" / "flaggerpy" / "rbac.yaml").read_text()
    assert stored == rbac.for_chart(), "run `python -m flaggerpy.controller.rbac chart > charts/flaggerpy/rbac.yaml`"


def test_the_charts_parts_are_together_what_the_manifest_grants() -> None:
    parts = yaml.safe_load(rbac.for_chart())
    granted = [*parts["common"], *parts["optional"], *parts["cluster"], *(rule for rules in parts["providers"].values() for rule in rules)]
    role = next(obj for obj in rbac.manifests() if obj["kind"] == "ClusterRole")
    assert set(rbac.reviews(granted)) == set(rbac.reviews(role["rules"]))
    assert parts["lease"] == next(obj for obj in rbac.manifests() if obj["kind"] == "Role")["rules"]


def test_nothing_is_granted_wholesale() -> None:
    for rule in [*rbac.rules(rbac.ROUTES), *rbac.optional_rules(), *rbac.cluster_rules(), *rbac.crd_rules()]:
        assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]


def test_what_the_controller_can_do_without_is_granted_but_never_demanded() -> None:
    role = next(obj for obj in rbac.manifests() if obj["kind"] == "ClusterRole")
    optional = [*rbac.optional_rules(), *rbac.cluster_rules()]
    granted = {plural: verb for verb, _, plural, _ in rbac.reviews(optional)}
    assert granted == {"serviceaccounts": "get", "customresourcedefinitions": "get", "nodes": "list", "selfsubjectaccessreviews": "create"}
    assert all(rule in role["rules"] for rule in optional)
    assert not set(granted) & {plural for _, _, plural, _ in rbac.reviews(rbac.rules(rbac.ROUTES))}


def test_crds_are_read_and_replaced_by_name_only() -> None:
    bound = [rule for rule in [*rbac.cluster_rules(), *rbac.crd_rules()] if "customresourcedefinitions" in rule["resources"]]
    assert all(name.endswith(".flagger.app") for rule in bound for name in rule.get("resourceNames", ()))
    assert [rule["verbs"] for rule in bound if "resourceNames" not in rule] == [["create"]]


def test_only_the_enabled_providers_get_their_routes() -> None:
    granted = {(group, plural) for _, group, plural, _ in rbac.reviews(rbac.rules(["kubernetes"]))}
    assert ("gateway.networking.k8s.io", "httproutes") not in granted
    assert ("patch", "gateway.networking.k8s.io", "httproutes", "") in rbac.reviews(rbac.rules(["gatewayapi:v1"]))
    with pytest.raises(KeyError):
        rbac.rules(["no-such"])


def test_the_lease_is_granted_in_its_namespace_only() -> None:
    objects = rbac.manifests("shop", lease_namespace="kube-system")
    kinds = [obj["kind"] for obj in objects]
    assert kinds == ["ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"]
    assert objects[3]["metadata"]["namespace"] == "kube-system"
    assert not any("leases" in rule["resources"] for rule in objects[1]["rules"])


def test_with_namespaces_there_are_roles_in_these_and_nothing_for_the_cluster() -> None:
    objects = rbac.manifests("flagger-system", lease_namespace="a", namespaces=("a", "b"))
    assert [obj["kind"] for obj in objects] == ["ServiceAccount", *["Role", "RoleBinding"] * 3]
    roles = [obj for obj in objects if obj["kind"] == "Role"]
    assert [(role["metadata"]["namespace"], role["metadata"]["name"]) for role in roles] == [
        ("a", "flaggerpy"), ("b", "flaggerpy"), ("a", "flaggerpy-election")
    ]  # fmt: skip
    wanted = set(rbac.reviews([*rbac.rules(rbac.ROUTES), *rbac.optional_rules()]))
    assert set(rbac.reviews(roles[1]["rules"])) == wanted
    assert all(obj["subjects"][0]["namespace"] == "flagger-system" for obj in objects if obj["kind"] == "RoleBinding")
