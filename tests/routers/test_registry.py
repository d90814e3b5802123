from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint
from typing import get_args

import pytest

from flaggerpy.api.canary import Provider
from flaggerpy.routers import registry
from flaggerpy.routers.kubernetes import Kubernetes
from flaggerpy.routers.registry import BUILT_IN, UnknownProvider, known_providers, router_for
from tests.routers.builders import GATEWAY, a_canary


@pytest.mark.parametrize("provider", sorted(BUILT_IN))
def test_every_built_in_provider_is_one_that_the_api_knows(provider: str) -> None:
    assert provider in get_args(Provider)
    canary = a_canary(GATEWAY)
    router = router_for(provider)
    assert {obj.name for obj in router.objects(canary)} <= {"podinfo", "podinfo-primary", "podinfo-canary"}
    assert router.problems(a_canary(GATEWAY).model_copy(update={"spec": canary.spec.model_copy(update={"service": None})})) == [
        f"spec.service: is missing; provider {provider} needs it"
    ]


def test_a_mesh_behind_the_version_of_smi_changes_nothing() -> None:
    assert router_for("smi:v1alpha2:linkerd").objects(a_canary()) == router_for("smi:v1alpha2").objects(a_canary())


@pytest.mark.parametrize("provider", ["kuma", "gatewayapi", "linkerd2", ""])
@pytest.mark.fault("Q-57")
def test_an_unknown_provider_is_refused_and_the_known_ones_named(provider: str) -> None:
    with pytest.raises(UnknownProvider, match="use one of contour, gatewayapi:v1,") as caught:
        router_for(provider)
    assert caught.value.name == provider
    assert caught.value.known == known_providers()


@pytest.fixture
def entry_point(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    entry = EntryPoint("mine", "flaggerpy.routers.kubernetes:Kubernetes", registry.ENTRY_POINTS)
    monkeypatch.setattr(registry, "_extra", lambda: (entry,))
    registry._router.cache_clear()
    yield
    registry._router.cache_clear()


def test_a_third_party_adds_a_router_by_an_entry_point(entry_point: None) -> None:
    assert isinstance(router_for("mine"), Kubernetes)
    assert "mine" in known_providers()
