"""Fixtures: the sandbox's, a controller that serves the page, and one browser for all tests."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from e2e.core.conftest import kube, namespace, sandbox, stage  # noqa: F401
from e2e.core.controllers import Controller, install
from e2e.core.stage import Stage
from e2e.kube import Kube
from e2e.sandbox import Sandbox
from e2e.ui.browser import Browser
from e2e.ui.measures import success_rate

ANALYSIS = {"interval": "3s", "threshold": 5, "stepWeight": 20, "maxWeight": 60, "metrics": [success_rate(90)]}
FLAGS = ("-ui", "-ui-actions")


def folder() -> Path:
    return Path(os.environ.get("SANDBOX_LOGS") or tempfile.mkdtemp(prefix="flaggerpy-ui-"))


@pytest.fixture(scope="session")
def controller(kube: Kube, sandbox: Sandbox) -> Iterator[Controller]:  # noqa: F811
    """The one controller of the run, with the page and its commands, for whoever reaches it."""
    install(kube)
    started = Controller(kube, folder(), sandbox.prometheus_url, FLAGS).start()
    yield started
    started.end()


@pytest.fixture(scope="session")
def url(controller: Controller) -> str:
    return f"http://127.0.0.1:{controller.port}/ui/"


@pytest.fixture(scope="session")
def _browser() -> Iterator[Browser]:
    made = Browser()
    yield made
    made.close()


@pytest.fixture
def browser(_browser: Browser) -> Iterator[Browser]:
    """An empty tab of the usual size and scheme; no test may leave an error in the console."""
    _browser.fresh()
    _browser.size(1200, 900)
    _browser.prefers("light")
    _browser.forget()
    yield _browser
    assert _browser.console() == []


@pytest.fixture
def app(stage: Stage) -> Iterator[Stage]:  # noqa: F811
    """An application with its Canary, under load. Of one metric more may fail than does."""
    stage.initialise(stage.canary(analysis=ANALYSIS))
    with stage.load():
        yield stage


@pytest.fixture
def token(kube: Kube, namespace: str) -> Callable[..., str]:  # noqa: F811
    """Makes a ServiceAccount that may do these verbs with Canaries in a namespace, and gives its token."""

    def made(name: str, *verbs: str, within: str = "") -> str:
        space = within or namespace
        api = "rbac.authorization.k8s.io"
        kube.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}})
        if verbs:
            kube.apply(
                {
                    "apiVersion": f"{api}/v1",
                    "kind": "Role",
                    "metadata": {"name": name, "namespace": space},
                    "rules": [{"apiGroups": ["flagger.app"], "resources": ["canaries"], "verbs": list(verbs)}],
                },
                {
                    "apiVersion": f"{api}/v1",
                    "kind": "RoleBinding",
                    "metadata": {"name": name, "namespace": space},
                    "roleRef": {"apiGroup": api, "kind": "Role", "name": name},
                    "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
                },
            )
        return kube.token(name, namespace)

    return made
