"""What is made of a target besides its template: selectors with all labels, budgets for the primary's pods."""

from __future__ import annotations

import pytest

from flaggerpy.cluster import kinds
from tests.cluster.fake_apiserver import FakeApiServer, eventually
from tests.controller.living import canary, deployment
from tests.controller.test_release import SHOP, Obj, controller, image, new_image, phase

pytestmark = pytest.mark.usefixtures("short_drains", "living")


def part(name: str, part: str) -> Obj:
    """A Deployment that shares `app: shop` with others."""
    made = deployment(name)
    labels = {"app": "shop", "part": part}
    made["spec"]["selector"]["matchLabels"] = labels
    made["spec"]["template"]["metadata"]["labels"] = dict(labels)
    return made


def selector(server: FakeApiServer, kind: kinds.Kind, name: str) -> Obj:
    obj = server.get(kind, SHOP, name)
    assert obj is not None
    found: Obj = obj["spec"]["selector"]
    return found


async def test_targets_that_share_their_label_have_primaries_of_their_own(server: FakeApiServer) -> None:
    for name in ("web", "cart"):
        server.add(part(name, name))
        server.add(canary(name))
    async with controller(server):
        await phase(server, "Initialized", name="web")
        await phase(server, "Initialized", name="cart")
        for name in ("web", "cart"):
            of_primary, of_canary = {"app": "shop-primary", "part": name}, {"app": "shop", "part": name}
            assert selector(server, kinds.DEPLOYMENT, f"{name}-primary") == {"matchLabels": of_primary}
            assert selector(server, kinds.SERVICE, name) == selector(server, kinds.SERVICE, f"{name}-primary") == of_primary
            assert selector(server, kinds.SERVICE, f"{name}-canary") == of_canary


async def test_a_primary_of_flagger_s_keeps_its_selector(server: FakeApiServer) -> None:
    server.add(part("web", "web"))
    server.add(canary("web"))
    async with controller(server):
        await phase(server, "Initialized", name="web")
        # a selector cannot be changed; as Flagger made them, it is the one label
        server.objects["apps", "deployments"][SHOP, "web-primary"]["spec"]["selector"] = {"matchLabels": {"app": "shop-primary"}}
        server.patch(kinds.DEPLOYMENT, SHOP, "web-primary", {"metadata": {"annotations": {"seen": "yes"}}})
        new_image(server, "podinfo:2", "web")
        await phase(server, "Succeeded", name="web")
        assert selector(server, kinds.DEPLOYMENT, "web-primary") == {"matchLabels": {"app": "shop-primary"}}
        assert image(server, "web-primary") == "podinfo:2"


async def test_a_budget_that_asks_for_it_holds_for_the_primary_too(server: FakeApiServer) -> None:
    meta = {"name": "podinfo", "namespace": SHOP, "labels": {"flagger.app/copy-to-primary": "true"}}
    spec = {"minAvailable": 1, "selector": {"matchLabels": {"app": "podinfo"}}}
    server.add({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": meta, "spec": spec})
    server.add(deployment())
    server.add(canary())

    def copied() -> Obj:
        return (server.get(kinds.POD_DISRUPTION_BUDGET, SHOP, "podinfo-primary") or {}).get("spec") or {}

    async with controller(server):
        await phase(server, "Initialized")
        await eventually(lambda: copied() == {"minAvailable": 1, "selector": {"matchLabels": {"app": "podinfo-primary"}}})
        server.patch(kinds.POD_DISRUPTION_BUDGET, SHOP, "podinfo", {"spec": {"minAvailable": 2}})
        await eventually(lambda: copied().get("minAvailable") == 2)
        server.remove(kinds.POD_DISRUPTION_BUDGET, SHOP, "podinfo")
        await eventually(lambda: not copied())
