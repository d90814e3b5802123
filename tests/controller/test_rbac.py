"""The role is the least that is needed, and deploy/rbac.yaml is generated from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from flaggerpy.controller import rbac

ROOT = Path(__file__).parent.parent.parent


def test_the_stored_manifest_is_what_is_generated() -> None:
    stored = (ROOT / "deploy" / "rbac.yaml").read_text()
    assert stored == rbac.printed(), "run `python -m flaggerpy.controller.rbac > deploy/rbac.yaml`"


def test_nothing_is_granted_wholesale() -> None:
    for rule in rbac.rules(rbac.ROUTES):
        assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
    assert not any("nodes" in rule["resources"] for rule in rbac.rules(rbac.ROUTES))


def test_what_the_image_check_can_do_without_is_granted_but_never_demanded() -> None:
    role = next(obj for obj in rbac.manifests() if obj["kind"] == "ClusterRole")
    granted = {right[1:3]: right[0] for right in rbac.reviews(rbac.optional_rules())}
    assert granted == {("", "nodes"): "list", ("", "serviceaccounts"): "get"}
    assert all(rule in role["rules"] for rule in rbac.optional_rules())
    assert not {"nodes", "serviceaccounts"} & {plural for _, _, plural, _ in rbac.reviews(rbac.rules(rbac.ROUTES))}


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
