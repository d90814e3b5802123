"""A running Deployment comes under a Canary and goes again, under real requests, by the manifests of docs/adoption.md.

What was its user's is compared with what it was, and what stands between may be a failing target, a dead controller or the end of the
namespace.
"""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path

import pytest
import yaml

from e2e.core.controllers import Controller
from e2e.core.stage import PORT, Stage
from e2e.core.test_releases import is_served
from e2e.kube import Kube, Object, until

PAGE = Path(__file__).parents[2] / "docs" / "adoption.md"
NAME = "podinfo"


def manifests(stage: Stage) -> dict[str, Object]:
    """The page's manifests by kind, in the test's namespace, with its image and host."""
    text = "---\n".join(re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL))
    text = text.replace("registry.example.com/podinfo:1.0.0", stage.image("1.0.0")).replace("podinfo.example.com", stage.host)
    found = {each["kind"]: each for each in yaml.safe_load_all(text)}
    for each in found.values():
        each["metadata"]["namespace"] = stage.namespace
    found["Canary"]["spec"]["podHealth"] = {"settle": "2s"}
    return found


def users(kube: Kube, kind: str, namespace: str) -> list[str]:
    """What is the user's of an object: all but what the API server and controllers write."""
    found = copy.deepcopy(kube.get(kind, NAME, namespace))
    found.pop("status", None)
    for field in ("resourceVersion", "generation", "managedFields"):
        found["metadata"].pop(field, None)
    # as lines, so that a difference is shown where it is
    return json.dumps(found, indent=1, sort_keys=True).splitlines()


def no_field_is_ours(kube: Kube, kind: str, namespace: str) -> None:
    managers = {entry["manager"] for entry in kube.get(kind, NAME, namespace)["metadata"]["managedFields"]}
    assert "flaggerpy" not in managers


def podinfo(stage: Stage) -> Stage:
    """The page's names instead of the stage's."""
    return Stage(stage.kube, stage.sandbox, stage.namespace, NAME)


def is_gone(stage: Stage, seconds: float) -> None:
    until(lambda: stage.kube.find("Canary", NAME, stage.namespace) is None, seconds, "the Canary to go", stage.texts)


@pytest.mark.fault("Q-61", "Q-49")
def test_a_running_deployment_comes_and_goes_without_a_lost_request(stage: Stage) -> None:
    stage = podinfo(stage)
    kube, given = stage.kube, manifests(stage)
    kube.apply(given["Deployment"], given["Service"], given["HTTPRoute"])
    is_served(stage, stage.sandbox.gateway_url, "1.0.0")
    kinds = ("Service", "HTTPRoute")
    before = {kind: users(kube, kind, stage.namespace) for kind in kinds}
    with stage.load(rate=50) as load:
        kube.apply(given["Canary"])
        stage.phase("Initialized", seconds=60)
        until(lambda: stage.replicas() == 0, 10, "the target to be at zero")
        service = kube.get("Service", NAME, stage.namespace)
        assert service["spec"]["selector"] == {"app": "podinfo-primary"}
        assert {port["name"]: port["port"] for port in service["spec"]["ports"]} == {"web": 80, "admin": 9999}
        assert service["metadata"]["annotations"]["meta.helm.sh/release-name"] == "shop"
        kube.delete("Canary", NAME, stage.namespace)
        is_gone(stage, 60)
        until(lambda: not kube.items("Pod", stage.namespace, "app=podinfo-primary"), 30, "the primary's pods to end")
    assert load.result["sent"] > 100
    assert load.result["lost"] == 0, load.result
    assert stage.replicas() == 2
    for kind in kinds:
        assert users(kube, kind, stage.namespace) == before[kind]
        no_field_is_ours(kube, kind, stage.namespace)
    # who owns it goes on as before: nothing is in the way of a server-side apply without force
    path = kube.path("Service", stage.namespace, NAME)
    kube.ask("PATCH", path, {**given["Service"], "spec": {**given["Service"]["spec"], "selector": {"app": NAME}}},
             "application/apply-patch+yaml", fieldManager="e2e")  # fmt: skip
    left = [f"{each['kind']} {each['metadata']['name']}" for kind in ("Deployment", "Service", "ControllerRevision")
            for each in kube.items(kind, stage.namespace) if each["metadata"]["name"] != NAME]  # fmt: skip
    assert left == []


@pytest.mark.slow
@pytest.mark.fault("Q-61")
def test_what_the_canary_had_made_goes_on_leading_visitors_in(stage: Stage) -> None:
    stage.initialise(stage.canary(revertOnDeletion=True))
    is_served(stage, stage.sandbox.gateway_url, "1.0.0")
    with stage.load(rate=50) as load:
        stage.kube.delete("Canary", "app", stage.namespace)
        until(lambda: stage.kube.find("Canary", "app", stage.namespace) is None, 60, "the Canary to go", stage.texts)
        until(lambda: not stage.kube.items("Pod", stage.namespace, "app=app-primary"), 30, "the primary's pods to end")
    assert load.result["lost"] == 0, load.result
    assert load.result["sent"] > 100
    assert not stage.kube.get("Service", "app", stage.namespace)["metadata"].get("ownerReferences")
    assert stage.weights() == {"app": 100}


@pytest.mark.slow
@pytest.mark.fault("Q-61", "Q-28")
@pytest.mark.parametrize("moment", ["in the analysis", "after a failure"])
def test_a_failing_target_does_not_take_down_what_serves(stage: Stage, moment: str) -> None:
    stage = podinfo(stage)
    kube, given = stage.kube, manifests(stage)
    given["Canary"]["spec"]["progressDeadlineSeconds"] = 20
    kube.apply(given["Deployment"], given["Service"], given["HTTPRoute"])
    is_served(stage, stage.sandbox.gateway_url, "1.0.0")
    kube.apply(given["Canary"])
    stage.phase("Initialized", seconds=60)
    with stage.load(rate=50) as load:
        kube.set_image(NAME, NAME, stage.image("9.9.9"), stage.namespace)
        stage.phase(*(("Progressing", "Failed") if moment == "in the analysis" else ("Failed",)), seconds=60)
        kube.delete("Canary", NAME, stage.namespace)
        is_gone(stage, 60)
        until(lambda: any("podinfo-primary goes on serving" in text for text in stage.texts()), 10, "the warning")
    assert load.result["lost"] == 0, load.result
    assert not kube.get("Deployment", "podinfo-primary", stage.namespace)["metadata"].get("ownerReferences")
    is_served(stage, stage.sandbox.gateway_url, "1.0.0")


@pytest.mark.slow
@pytest.mark.fault("Q-28")
def test_a_namespace_ends_with_all_that_is_in_it(stage: Stage) -> None:
    stage = podinfo(stage)
    kube, given = stage.kube, manifests(stage)
    kube.apply(*given.values())
    stage.phase("Initialized", seconds=60)
    kube.delete("Namespace", stage.namespace)
    is_gone(stage, 60)
    until(lambda: kube.find("Namespace", stage.namespace) is None, 60, "the namespace to end")


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.fault("Q-28")
def test_a_controller_that_was_down_takes_the_deletion_up_where_it_was(stage: Stage, controller: Controller) -> None:
    stage = podinfo(stage)
    kube, given = stage.kube, manifests(stage)
    kube.apply(given["Deployment"], given["Service"], given["HTTPRoute"])
    is_served(stage, stage.sandbox.gateway_url, "1.0.0")
    kube.apply(given["Canary"])
    stage.phase("Initialized", seconds=60)
    with stage.load(rate=50) as load:
        controller.kill()
        kube.delete("Canary", NAME, stage.namespace)
        controller.start()
        until(lambda: stage.status().get("phase") == "Terminating", 40, "the deletion to be taken up")
        controller.kill()
        controller.start()
        is_gone(stage, 90)
    assert load.result["lost"] == 0, load.result
    assert kube.get("Service", NAME, stage.namespace)["spec"]["selector"] == {"tier": "web"}


@pytest.mark.slow
@pytest.mark.fault("Q-61")
def test_a_deletion_without_revert_is_told_at_the_target(stage: Stage) -> None:
    stage.initialise(stage.canary())
    stage.kube.delete("Canary", "app", stage.namespace)
    stage.told("app stays at 0 replicas, app-primary is gone with the Canary, nothing serves")


@pytest.mark.slow
@pytest.mark.fault("Q-49")
@pytest.mark.parametrize("headless", [False, True])
def test_a_headless_service_is_taken_over_and_given_back(stage: Stage, headless: bool) -> None:
    service = {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "app", "namespace": stage.namespace},
        "spec": {"selector": {"app": "app"}, "ports": [{"name": "http", "port": PORT, "targetPort": "http"}]}
        | ({"clusterIP": "None"} if headless else {}),
    }  # fmt: skip
    stage.kube.apply(stage.deployment(), service)
    analysis = {"interval": "2s", "threshold": 2, "iterations": 2}
    stage.initialise(stage.canary(provider="kubernetes", analysis=analysis, revertOnDeletion=True))
    taken = stage.kube.get("Service", "app", stage.namespace)["spec"]
    assert (taken["selector"], taken["clusterIP"] == "None") == ({"app": "app-primary"}, headless)
    stage.kube.delete("Canary", "app", stage.namespace)
    until(lambda: stage.kube.find("Canary", "app", stage.namespace) is None, 60, "the Canary to go", stage.texts)
    spec = stage.kube.get("Service", "app", stage.namespace)["spec"]
    assert (spec["selector"], spec["clusterIP"] == "None", spec["ports"][0]["targetPort"]) == ({"app": "app"}, headless, "http")
    assert stage.replicas() == 2
