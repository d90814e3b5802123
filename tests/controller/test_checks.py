"""Before leading: what is missing is named in sentences."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from flaggerpy.cluster import kinds
from flaggerpy.cluster.lease import NAME as LEASE
from flaggerpy.controller import checks, rbac
from flaggerpy.controller.run import Controller, check
from flaggerpy.controller.settings import Settings
from flaggerpy.controller.shards import Shard
from tests.cluster.fake_apiserver import FakeApiServer, Request

Obj = dict[str, Any]
CRD = yaml.safe_load((Path(__file__).parent.parent.parent / "crds" / "canary.yaml").read_text())


@pytest.mark.parametrize(
    ("answer", "fine"),
    [
        ({"major": "1", "minor": "34"}, True),
        ({"major": "1", "minor": "30+"}, True),
        ({"major": "1", "minor": "29", "gitVersion": "v1.29.1"}, False),
        ({}, True),
    ],
)
def test_an_old_kubernetes_is_refused(answer: dict[str, str], fine: bool) -> None:
    assert (checks.version_problems(answer) == []) is fine


def test_our_own_crd_has_every_status_field() -> None:
    assert checks.status_problems(CRD) == []


def test_a_crd_without_our_status_fields_is_named() -> None:
    foreign = {"spec": {"versions": [{"name": "v1beta1", "schema": {"openAPIV3Schema": {"properties": {"status": {"properties": {}}}}}}]}}
    [sentence] = checks.status_problems(foreign)
    assert "status.run" in sentence
    assert "install CRDs" in sentence


async def test_a_kind_that_is_not_served_is_named() -> None:
    async with FakeApiServer() as server:
        server.unserve(kinds.ALERT_PROVIDER)
        [sentence] = await checks.problems(server.client(), "kube-system", [])
        assert "alertproviders.flagger.app" in sentence


async def test_rights_that_are_missing_are_named_by_resource() -> None:
    async with FakeApiServer() as server:
        assert await checks.problems(server.client(), "kube-system", rbac.ROUTES) == []
        server.allowed = lambda wanted: (wanted["resource"], wanted["verb"]) not in {("pods", "watch"), ("leases", "create")}
        found = await checks.problems(server.client(), "kube-system", ["kubernetes"])
        assert found == [
            f"our account may not watch pods: {checks.ROLES}",
            f"our account may not create leases.coordination.k8s.io in kube-system: {checks.ROLES}",
        ]


def named(*leases: str) -> Callable[[Obj], bool]:
    """What an account may whose rules about Leases are bound to these names, as the API server answers it."""

    def allowed(wanted: Obj) -> bool:
        return wanted["resource"] != "leases" or wanted["verb"] in ("list", "create") or wanted.get("name") in leases

    return allowed


async def test_a_right_that_is_granted_by_name_is_asked_for_by_name() -> None:
    async with FakeApiServer() as server:
        server.allowed = named(LEASE)
        assert await checks.problems(server.client(), "kube-system", ["kubernetes"]) == []
        shard = Shard(3, 1).lease
        [sentence] = await checks.problems(server.client(), "kube-system", ["kubernetes"], lease=shard)
        assert sentence == f"our account may not get, watch, update leases.coordination.k8s.io {shard} in kube-system: {checks.ROLES}"


@pytest.mark.parametrize("shard", ["0/1", "1/3"])
async def test_controller_and_check_ask_for_the_lease_of_their_own_shard(shard: str) -> None:
    settings = Settings(mesh_provider="kubernetes", shard=shard)
    async with FakeApiServer() as server:
        controller = Controller(settings, server.client())
        server.allowed = named(settings.own_shard.lease)
        await asyncio.wait_for(controller._check(), 5)
        assert controller.problems == []
        await controller.http.aclose()
        await controller.registries.aclose()
        assert "nobody holds the Lease" in (await check(settings, server.client(), 0.01))[0]
        server.allowed = named("another")
        [sentence] = await check(settings, server.client())
        assert f"may not get, watch, update leases.coordination.k8s.io {settings.own_shard.lease} in" in sentence


async def test_with_namespaces_only_the_lease_is_asked_for_beside_them() -> None:
    async with FakeApiServer() as server:
        server.allowed = lambda wanted: wanted.get("namespace") == "shop"
        assert await checks.problems(server.client(), "shop", rbac.ROUTES, clusterwide=False) == []
        assert await checks.problems(server.client(), "shop", rbac.ROUTES) != []


async def test_rights_in_a_namespace_are_named_with_it() -> None:
    async with FakeApiServer() as server:
        server.allowed = lambda wanted: wanted.get("namespace") == "shop" and wanted["resource"] != "secrets"
        [sentence] = await checks.namespace_problems(server.client(), "shop", ["kubernetes"])
        assert sentence == f"our account may not get, list, watch, create, patch, delete secrets in shop: {checks.ROLES}"
        [sentence] = await checks.namespace_problems(server.client(), "bar", ["kubernetes"])
        assert "is there such a namespace, with our Role?" in sentence


async def test_what_one_request_tells_of_a_namespace_is_not_asked_for_again() -> None:
    async with FakeApiServer() as server:
        server.rules = lambda namespace: rbac.rules(rbac.ROUTES)
        assert await checks.namespace_problems(server.client(), "shop", rbac.ROUTES) == []
        assert len(server.requests) == 2
        server.rules = lambda namespace: [rule for rule in rbac.rules(rbac.ROUTES) if "services" not in rule["resources"]]
        server.allowed = lambda wanted: wanted["resource"] != "services"
        [sentence] = await checks.namespace_problems(server.client(), "shop", rbac.ROUTES)
        assert "services in shop" in sentence
        # one Service by its name is not all of them
        server.rules = lambda namespace: [
            {**rule, "resourceNames": ["one"]} if "services" in rule["resources"] else rule for rule in rbac.rules(rbac.ROUTES)
        ]
        [sentence] = await checks.namespace_problems(server.client(), "shop", rbac.ROUTES)
        assert "services in shop" in sentence


async def test_an_account_that_may_not_read_the_crd_reads_what_the_server_publishes_of_it() -> None:
    async with FakeApiServer() as server:
        server.fault = lambda request: 403 if request.kind == kinds.CUSTOM_RESOURCE_DEFINITION else None
        [sentence] = await checks.problems(server.client(), "shop", [])
        assert "status.run" in sentence
        schema = CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        named = {**schema, "x-kubernetes-group-version-kind": [{"group": "flagger.app", "version": "v1beta1", "kind": "Canary"}]}
        server.openapi[kinds.CANARY.root] = {"components": {"schemas": {"other": {}, "app.flagger.v1beta1.Canary": named}}}
        assert await checks.problems(server.client(), "shop", []) == []


async def test_an_account_that_may_not_ask_for_its_rights_is_taken_at_its_word() -> None:
    async with FakeApiServer() as server:
        server.fault = lambda request: 403 if "selfsubjectaccessreviews" in request.path else None
        assert await checks.problems(server.client(), "shop", []) == []


def lease(renewed: str, holder: str = "somebody") -> Obj:
    spec = {"holderIdentity": holder, "renewTime": renewed}
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": LEASE, "namespace": "shop"}, "spec": spec}


async def test_a_lease_that_is_renewed_is_led_by_somebody() -> None:
    async with FakeApiServer() as server:
        server.add(lease("2026-01-01T00:00:00.000000Z"))
        looked = []

        def renew(request: Request) -> None:
            looked.append(request)
            if len(looked) == 2:
                server.patch(kinds.LEASE, "shop", LEASE, lease("2026-01-01T00:00:02.000000Z"))

        server.fault = renew
        assert await checks.leadership(server.client(), "shop", LEASE, 1.0, poll=0.01) is None
        assert len(looked) == 2


@pytest.mark.parametrize(
    ("held", "said"),
    [
        (None, "nobody holds the Lease"),
        (lease("2026-01-01T00:00:00.000000Z", ""), "nobody holds the Lease"),
        (lease("2026-01-01T00:00:00.000000Z"), "was not renewed within 0.03 s"),
    ],
)
async def test_a_lease_that_nobody_holds_or_renews_is_a_sentence(held: Obj | None, said: str) -> None:
    async with FakeApiServer() as server:
        if held:
            server.add(held)
        assert said in (await checks.leadership(server.client(), "shop", LEASE, 0.03, poll=0.01) or "")
