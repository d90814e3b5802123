"""Fixtures of the suite: Helm, the image in the registry, and a namespace of the system that leaves nothing behind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from e2e.core.conftest import kube, namespace, sandbox  # noqa: F401
from e2e.install.helm import Helm
from e2e.install.installation import ENFORCED, NAMESPACE, Installation
from e2e.kube import Kube
from e2e.sandbox import Sandbox


@pytest.fixture(scope="session")
def offline() -> Helm:
    """Helm for what needs no cluster."""
    return Helm()


@pytest.fixture
def installation(kube: Kube, sandbox: Sandbox) -> Iterator[Installation]:  # noqa: F811
    """A release of Helm's called flagger, not installed yet; in a namespace that takes restricted pods only."""
    kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": {ENFORCED: "restricted"}}})
    made = Installation(kube, sandbox, Helm(sandbox.kubeconfig))
    yield made
    made.remove()

