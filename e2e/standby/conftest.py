"""Fixtures of the suite: controllers of a test's own, in namespaces of its own, and a proxy in front of the API server."""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from e2e.core.conftest import kube, namespace, receiver, sandbox  # noqa: F401
from e2e.core.controllers import SYSTEM, Controller, install
from e2e.disorder.conftest import play, proxy  # noqa: F401
from e2e.kube import Kube, until
from e2e.sandbox import Sandbox
from flaggerpy.controller import rbac

NewController = Callable[..., Controller]
NewNamespace = Callable[[str], str]
_counter = itertools.count(1)


@pytest.fixture
def new_namespace(kube: Kube) -> Iterator[NewNamespace]:  # noqa: F811
    """Makes namespaces with names of their own; they go with the test."""
    made: list[str] = []

    def make(stem: str) -> str:
        name = f"{stem}-{os.getpid()}-{next(_counter)}"
        made.append(name)
        kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        until(lambda: kube.find("ServiceAccount", "default", name), 15, f"the default service account of {name}")
        return name

    yield make
    for name in made:
        kube.delete("Namespace", name)


@pytest.fixture
def new_controller(kube: Kube, sandbox: Sandbox, namespace: str) -> Iterator[NewController]:  # noqa: F811
    """Makes controllers, not started yet; of this test's namespace only unless `flags` say otherwise. All are ended with the test."""
    install(kube)
    kube.apply(*rbac.manifests(SYSTEM, lease_namespace=namespace)[-2:])
    logs = Path(os.environ.get("SANDBOX_LOGS") or tempfile.mkdtemp(prefix="flaggerpy-e2e-"))
    made: list[Controller] = []

    def make(name: str = "controller", *flags: str, **options: object) -> Controller:
        words = flags or (f"-namespace={namespace}",)
        made.append(Controller(kube, logs / f"{namespace}-{name}", sandbox.prometheus_url, words, **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for controller in made:
        controller.end()
