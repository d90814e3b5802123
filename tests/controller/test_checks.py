"""Before leading: what is missing is named in sentences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from flaggerpy.cluster import kinds
from flaggerpy.controller import checks, rbac
from tests.cluster.fake_apiserver import FakeApiServer

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
        [sentence] = await checks.problems(server.client(), "", "kube-system", [])
        assert "alertproviders.flagger.app" in sentence


async def test_rights_that_are_missing_are_named_by_resource() -> None:
    async with FakeApiServer() as server:
        assert await checks.problems(server.client(), "", "kube-system", rbac.ROUTES) == []
        server.allowed = lambda wanted: (wanted["resource"], wanted["verb"]) not in {("pods", "watch"), ("leases", "create")}
        found = await checks.problems(server.client(), "", "kube-system", ["kubernetes"])
        assert found == [
            "our account may not watch pods: apply deploy/rbac.yaml",
            "our account may not create leases.coordination.k8s.io in kube-system: apply deploy/rbac.yaml",
        ]
