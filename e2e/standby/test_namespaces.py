"""A service account with Roles in some namespaces and no right in the cluster attends these, whatever becomes of one of them."""

from __future__ import annotations

import re

from e2e.core.controllers import SYSTEM, Controller
from e2e.core.stage import Stage
from e2e.kube import Kube, until
from e2e.sandbox import Sandbox
from e2e.standby.conftest import NewController, NewNamespace
from flaggerpy.controller import rbac

ACCOUNT = "flaggerpy-with-roles"


def grant(kube: Kube, *namespaces: str) -> None:
    """Roles in these namespaces, and one for the Lease in the first."""
    kube.apply(*rbac.manifests(SYSTEM, name=ACCOUNT, namespaces=namespaces, lease_namespace=namespaces[0]))


def begin(stage: Stage) -> None:
    """Apply an application with its Canary, and do not wait."""
    stage.kube.apply(stage.deployment(replicas=1), stage.canary())


def denied(controller: Controller) -> list[str]:
    """The requests that were answered with 403, as verb and resource."""
    found = re.findall(r'^flagger_api_requests_total{code="403",resource="([^"]*)",verb="([^"]*)"}', controller.metrics(), re.MULTILINE)
    return [f"{verb} {resource}" for resource, verb in found]


def test_roles_in_two_namespaces_are_enough_for_releases_there(
    kube: Kube, sandbox: Sandbox, new_controller: NewController, new_namespace: NewNamespace
) -> None:
    first, second, alone, late = (new_namespace(stem) for stem in ("first", "second", "alone", "late"))
    kube.delete("Namespace", late)
    grant(kube, first, second)
    stages = [Stage(kube, sandbox, where) for where in (first, second)]
    for stage in (*stages, Stage(kube, sandbox, alone)):
        begin(stage)
    controller = new_controller("roles", f"-namespace={first},{second},{late}", account=ACCOUNT).start()
    for stage in stages:
        stage.phase("Initialized", seconds=40)
        stage.release("1.0.1")
    assert any(f"namespace {late} is not attended" in line for line in controller.notes())
    for stage in stages:
        stage.phase("Succeeded", seconds=60)
        assert stage.primary_image() == stage.image("1.0.1")
    # what is one for the cluster is done without
    assert set(denied(controller)) <= {"get customresourcedefinitions", "list nodes"}
    assert "phase" not in Stage(kube, sandbox, alone).status()

    # a namespace that comes later, and goes again
    until(lambda: kube.find("Namespace", late) is None, 60, f"the end of {late}")
    kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": late}})
    grant(kube, first, second, late)
    guest = Stage(kube, sandbox, late)
    begin(guest)
    guest.phase("Initialized", seconds=60)
    assert controller.notes() == []
    kube.delete("Namespace", late)
    until(lambda: kube.find("Namespace", late) is None, 60, f"the end of {late}")
    stages[0].release("1.0.2")
    stages[0].phase("Progressing", seconds=20)
    stages[0].phase("Succeeded", seconds=60)
    assert controller.is_ready()
