"""Fixtures of the disorder tests: beside those of the core, a proxy that misbehaves and a play with a controller of its own behind it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from e2e.core.conftest import kube, namespace, receiver, sandbox  # noqa: F401
from e2e.core.controllers import Controller, install
from e2e.core.receiver import Receiver
from e2e.core.stage import Stage
from e2e.disorder.playing import Play
from e2e.disorder.proxy import Proxy
from e2e.kube import Kube
from e2e.sandbox import Sandbox
from flaggerpy.controller import rbac

NewController = Callable[..., Controller]


@pytest.fixture
def proxy(kube: Kube) -> Iterator[Proxy]:  # noqa: F811
    """A proxy in front of the API server; DISORDER_SEED=n repeats its dice."""
    seed = int(os.environ.get("DISORDER_SEED") or 1)
    with Proxy.before(kube.kubeconfig, seed) as opened:
        yield opened


@pytest.fixture
def new_controller(kube: Kube, sandbox: Sandbox, namespace: str) -> Iterator[NewController]:  # noqa: F811
    """Makes controllers of this test's namespace only, not started yet; all are ended with the test, however they are."""
    install(kube)
    kube.apply(*rbac.manifests("flagger-system", lease_namespace=namespace)[-2:])
    logs = Path(os.environ.get("SANDBOX_LOGS") or tempfile.mkdtemp(prefix="flaggerpy-e2e-"))
    made: list[Controller] = []

    def make(name: str = "controller", **options: object) -> Controller:
        metrics = str(options.pop("metrics_server", sandbox.prometheus_url))
        flags = (f"-namespace={namespace}",)
        made.append(Controller(kube, logs / f"{namespace}-{name}", metrics, flags, **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for controller in made:
        controller.end()


@pytest.fixture
def play(
    new_controller: NewController, kube: Kube, sandbox: Sandbox, namespace: str, receiver: Receiver  # noqa: F811
) -> Iterator[Play]:
    """Releases of this test's own application, recorded and judged. The CRDs that are watched come with `new_controller`."""
    with Play(Stage(kube, sandbox, namespace), receiver) as begun:
        yield begun
