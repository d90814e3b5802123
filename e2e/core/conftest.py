"""Fixtures of the end-to-end tests: the sandbox they run in, its API server, and a namespace of each test's own."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

import pytest

from e2e.kube import Kube, until
from e2e.sandbox import Sandbox

_counter = itertools.count(1)


@pytest.fixture(scope="session")
def sandbox() -> Sandbox:
    """The sandbox whose namespace we run in; outside of one these tests cannot run, and say how to."""
    if not os.environ.get("SANDBOX_NAME"):
        pytest.fail(
            "end-to-end tests run inside a sandbox: `make e2e`, or python -m e2e.sandbox exec --name NAME -- python -m pytest e2e/core"
        )
    return Sandbox.current()


@pytest.fixture(scope="session")
def kube(sandbox: Sandbox) -> Kube:
    """The cluster as its administrator."""
    return Kube(sandbox.kubeconfig)


@pytest.fixture
def namespace(kube: Kube, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace for one test, named after it; its end is not waited for."""
    stem = request.node.name.removeprefix("test_").split("[")[0].replace("_", "-")[:40].strip("-")
    name = f"{stem}-{os.getpid()}-{next(_counter)}"
    kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    until(lambda: kube.find("ServiceAccount", "default", name), 15, f"the default service account of {name}")
    yield name
    kube.delete("Namespace", name)
