"""Fixtures of the end-to-end tests: the sandbox they run in, its API server, and a namespace of each test's own."""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.core.controllers import Controller, install
from e2e.core.receiver import Receiver
from e2e.core.rights import DECOY
from e2e.core.stage import Stage
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
    decoy = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": DECOY, "namespace": name}, "stringData": {"key": "not for you"}}
    kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}, decoy)
    until(lambda: kube.find("ServiceAccount", "default", name), 15, f"the default service account of {name}")
    yield name
    kube.delete("Namespace", name)


_shared: list[Controller] = []


def pytest_sessionstart(session: pytest.Session) -> None:
    """With pytest-xdist one controller serves all workers: it is started before they are, and they find it by the environment."""
    spread = getattr(session.config.option, "numprocesses", None) and not hasattr(session.config, "workerinput")
    if not spread or not os.environ.get("SANDBOX_NAME"):
        return
    sandbox = Sandbox.current()
    kube = Kube(sandbox.kubeconfig)
    install(kube)
    started = Controller(kube, _log_folder(), sandbox.prometheus_url).start()
    _shared.append(started)
    os.environ["E2E_CONTROLLER"] = str(started.folder)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """The shared controller ends with the run."""
    while _shared:
        _shared.pop().stop()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A test that passed in its rerun says why it needed one: it is a defect, of the test or of what it tests."""
    for report in terminalreporter.stats.get("rerun", []):
        terminalreporter.section(f"rerun of {report.nodeid}", sep="_")
        terminalreporter.write_line(report.longreprtext[-3000:])


def _log_folder() -> Path:
    folder = Path(os.environ.get("SANDBOX_LOGS") or tempfile.mkdtemp(prefix="flaggerpy-e2e-"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def controller(kube: Kube, sandbox: Sandbox) -> Iterator[Controller]:
    """The one controller of the run, with an account of its own. A test that stops or kills it is marked `alone`, and starts it again."""
    shared = os.environ.get("E2E_CONTROLLER")
    if shared:
        yield Controller.attached(Path(shared))
        return
    install(kube)
    started = Controller(kube, _log_folder(), sandbox.prometheus_url).start()
    yield started
    started.stop()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Where hooks and alerts go."""
    opened = Receiver()
    yield opened
    opened.close()


@pytest.fixture
def stage(kube: Kube, sandbox: Sandbox, controller: Controller, namespace: str) -> Stage:
    """An application of this test's own, not applied yet."""
    return Stage(kube, sandbox, namespace)
