"""Fixtures of the suite: Helm, the image in the registry, and a namespace of the system that leaves nothing behind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from e2e.core.conftest import kube, namespace, sandbox  # noqa: F401
from e2e.install import images
from e2e.install.helm import CHART, Helm, chart_version
from e2e.install.installation import ENFORCED, NAMESPACE, Installation
from e2e.kube import Kube
from e2e.sandbox import Sandbox


@pytest.fixture(scope="session")
def offline() -> Helm:
    """Helm for what needs no cluster."""
    return Helm()


@pytest.fixture(scope="session")
def newer(offline: Helm, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chart as a later version of itself, packed."""
    folder = tmp_path_factory.mktemp("charts")
    offline.run("package", str(CHART), "--version", "0.9.9", "--app-version", "0.9.9", "--destination", str(folder))
    return folder / f"{CHART.name}-0.9.9.tgz"


@pytest.fixture(scope="session")
def values(sandbox: Sandbox) -> Mapping[str, Any]:  # noqa: F811
    """What every installation in the sandbox needs: the image, in its registry under the versions of both charts."""
    images.push_ours(sandbox, chart_version(), "0.9.9")
    return {"image": {"repository": f"{sandbox.registry}/{images.NAME}"}, "meshProvider": "gatewayapi:v1"}


@pytest.fixture
def installation(kube: Kube, sandbox: Sandbox) -> Iterator[Installation]:  # noqa: F811
    """A release of Helm's called flagger, not installed yet; in a namespace that takes restricted pods only."""
    kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": {ENFORCED: "restricted"}}})
    made = Installation(kube, sandbox, Helm(sandbox.kubeconfig))
    yield made
    made.remove()

