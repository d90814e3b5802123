"""The role is the least that is needed, and deploy/rbac.yaml is generated from it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import yaml

from flaggerpy.cluster.lease import NAME as LEASE
from flaggerpy.cluster.lease import LeaderElection
from flaggerpy.controller import rbac
from flaggerpy.controller.claims import Claims
from flaggerpy.controller.shards import Shard
from tests.cluster.fake_apiserver import FakeApiServer, eventually

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
    for rule in [*rbac.rules(rbac.ROUTES), *rbac.optional_rules(), *rbac.cluster_rules(), *rbac.crd_rules(), *rbac.lease_rules()]:
        assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]


def test_what_the_controller_can_do_without_is_granted_but_never_demanded() -> None:
    role = next(obj for obj in rbac.manifests() if obj["kind"] == "ClusterRole")
    optional = [*rbac.optional_rules(), *rbac.cluster_rules()]
    granted = {plural: verb for verb, _, plural, _, _ in rbac.reviews(optional)}
    assert granted == {"serviceaccounts": "get", "customresourcedefinitions": "get", "nodes": "list", "selfsubjectaccessreviews": "create"}
    assert all(rule in role["rules"] for rule in optional)
    assert not set(granted) & {plural for _, _, plural, _, _ in rbac.reviews(rbac.rules(rbac.ROUTES))}


def test_crds_are_read_and_replaced_by_name_only() -> None:
    bound = [rule for rule in [*rbac.cluster_rules(), *rbac.crd_rules()] if "customresourcedefinitions" in rule["resources"]]
    assert all(name.endswith(".flagger.app") for rule in bound for name in rule.get("resourceNames", ()))
    assert [rule["verbs"] for rule in bound if "resourceNames" not in rule] == [["create"]]


def test_only_the_enabled_providers_get_their_routes() -> None:
    granted = {(group, plural) for _, group, plural, _, _ in rbac.reviews(rbac.rules(["kubernetes"]))}
    assert ("gateway.networking.k8s.io", "httproutes") not in granted
    assert ("patch", "gateway.networking.k8s.io", "httproutes", "", "") in rbac.reviews(rbac.rules(["gatewayapi:v1"]))
    with pytest.raises(KeyError):
        rbac.rules(["no-such"])


def test_the_lease_is_granted_in_its_namespace_only() -> None:
    objects = rbac.manifests("shop", lease_namespace="kube-system")
    kinds = [obj["kind"] for obj in objects]
    assert kinds == ["ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"]
    assert objects[3]["metadata"]["namespace"] == "kube-system"
    assert not any("leases" in rule["resources"] for rule in objects[1]["rules"])


def test_no_lease_may_be_written_but_those_that_controllers_of_ours_hold() -> None:
    """In kube-system there are those of kube-scheduler and its like."""
    [role] = [obj for obj in rbac.manifests() if obj["kind"] == "Role"]
    written = {name for verb, _, _, _, name in rbac.reviews(role["rules"]) if verb not in ("list", "create")}
    assert written == {LEASE, *(shard.lease for count in range(2, rbac.NAMED_SHARDS + 1) for shard in Shard(count).others)}
    assert {verb for verb, _, _, _, name in rbac.reviews(role["rules"]) if not name} == {"list", "create"}


@pytest.mark.parametrize("shard", [Shard(), Shard(3, 1)])
async def test_what_election_and_claims_ask_of_leases_is_granted(shard: Shard) -> None:
    async with FakeApiServer() as server:
        first, second = (LeaderElection(server.client(), "kube-system", shard.lease, name) for name in ("first", "second"))
        async with first:
            await asyncio.wait_for(first.leading.wait(), 5)
            assert await first.publish()
            async with second:
                await eventually(lambda: any(request.verb == "watch" for request in server.requests))
                await first.stop()
                await asyncio.wait_for(second.leading.wait(), 5)
                await Claims(server.client(), "kube-system", shard).look()
        # a list or watch of one name is asked by that name, as Kubernetes has it
        names = [request.name or request.query.get("fieldSelector", "").removeprefix("metadata.name=") for request in server.requests]
        asked = {
            (request.verb, "coordination.k8s.io", request.resource, "", name) for request, name in zip(server.requests, names, strict=True)
        }
    granted = set(rbac.reviews(rbac.lease_rules([shard.lease])))
    assert {verb for verb, *_ in asked} == {verb for verb, *_ in granted}, "what nothing uses is not granted"
    assert not [right for right in asked if right not in granted and (*right[:4], "") not in granted]
    assert granted <= set(rbac.reviews(rbac.lease_rules()))


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
