"""The registry: ours, and those of third parties."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flaggerpy.metrics import providers
from flaggerpy.metrics.prometheus import Prometheus


class Mine(Prometheus):
    """A provider of somebody else."""


class Entry:
    def __init__(self, name: str) -> None:
        self.name = name

    def load(self) -> type[Mine]:
        return Mine


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    providers._all.cache_clear()
    yield
    providers._all.cache_clear()


@pytest.mark.fault("Q-57")
def test_an_unknown_type_is_not_taken_for_prometheus() -> None:
    assert isinstance(providers.provider("prometheus"), Prometheus)
    assert providers.provider("datadog") is None


def test_packages_add_types_but_cannot_replace_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"flaggerpy.metrics": [Entry("mine"), Entry("prometheus")]}
    monkeypatch.setattr(providers, "entry_points", lambda group: found[group])
    assert isinstance(providers.provider("mine"), Mine)
    assert not isinstance(providers.provider("prometheus"), Mine)
    assert providers.kinds() == ["mine", "prometheus"]
