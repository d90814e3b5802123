"""Argo CD's engine beside releases: it syncs every few seconds, heals itself and prunes, as an Application with automated sync."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import yaml

from e2e.core.stage import PORT, Stage
from e2e.gitops import page
from e2e.gitops.argo import NAMED, Argo
from e2e.gitops.judges import Verdict, act, actions, health, settings
from e2e.gitops.watching import Watching
from e2e.kube import Object, until, until_established
from e2e.sandbox.build import part_dir, part_named
from flaggerpy.controller.patches import merge_diff

RULE = "jsonPointers: [/spec/replicas]"
BLUE_GREEN: Object = {"interval": "2s", "threshold": 2, "iterations": 2}


@pytest.fixture
def app(stage: Stage, argo: Argo) -> Iterator[Stage]:
    """The application as Argo CD has it in Git; nothing is applied yet."""
    yield stage
    argo.publish(stage.namespace)


def bare(deployment: Object) -> Object:
    """As docs/gitops.md has it: without a size."""
    del deployment["spec"]["replicas"]
    return deployment


def service(stage: Stage, **spec: object) -> Object:
    ports = [{"name": "http", "port": PORT, "targetPort": PORT}]
    body = {name: value for name, value in {"selector": {"app": stage.name}, "ports": ports, **spec}.items() if value is not None}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": stage.name, "namespace": stage.namespace}, "spec": body}


def judged(stage: Stage) -> Verdict:
    (found,) = health([stage.get()], settings())
    return found


def pressed(stage: Stage, button: str) -> None:
    """What Argo CD's server does with the object that an action's script gives back: a merge patch of what differs."""
    live = stage.get()
    assert actions([live], settings())[0][button], stage.story()
    change = merge_diff(live, act(button, [live], settings())[0])
    stage.kube.patch("Canary", stage.name, change, stage.namespace)


def test_argo_cd_syncs_a_release_and_sees_how_it_stands(app: Stage, argo: Argo) -> None:
    argo.publish(app.namespace, bare(app.deployment()), app.canary())
    app.phase("Initialized", seconds=60)
    assert judged(app).status == "Healthy"
    with Watching(app) as watching:
        argo.publish(app.namespace, bare(app.deployment("1.0.1")), app.canary())
        app.until_status(lambda status: status.get("canaryWeight") == 20, 40, "the first step")
        found = judged(app)
        assert (found.status, found.message.endswith("(canary weight 20 %)")) == ("Progressing", True), found
        app.phase("Succeeded", seconds=60)
    watching.one_run_without_a_jump()
    assert judged(app).status == "Healthy"

    argo.publish(app.namespace, bare(app.deployment("9.9.9")), app.canary())
    app.phase("Failed", seconds=60)
    found = judged(app)
    assert found.status == "Degraded"
    assert "9.9.9" in found.message
    argo.publish(app.namespace, bare(app.deployment("1.0.2")), app.canary())
    app.phase("Succeeded", seconds=60)
    assert judged(app).status == "Healthy"


def test_the_buttons_steer_a_release(app: Stage, argo: Argo) -> None:
    slow = app.canary(analysis={"interval": "3s", "threshold": 2, "stepWeight": 10, "maxWeight": 90})
    argo.publish(app.namespace, bare(app.deployment()), slow)
    app.phase("Initialized", seconds=60)
    argo.publish(app.namespace, bare(app.deployment("1.0.1")), slow)
    app.until_status(lambda status: status.get("canaryWeight", 0) >= 10, 40, "the first step")
    pressed(app, "pause")
    until(lambda: app.status()["run"].get("paused"), 20, "the pause", app.story)
    assert judged(app).status == "Suspended"
    held = app.status()["canaryWeight"]
    syncs = argo.syncs()
    until(lambda: argo.syncs() >= syncs + 2, 60, "two more syncs, which leave the pause alone")
    assert app.status()["canaryWeight"] == held
    pressed(app, "resume")
    app.until_status(lambda status: status["canaryWeight"] > held, 20, "the next step")
    pressed(app, "skip")
    pressed(app, "abort")
    app.phase("Failed", seconds=40)
    assert app.status()["history"][0]["outcome"] == "Aborted"
    pressed(app, "retry")
    app.phase("Progressing", seconds=20)
    app.until_status(lambda status: status.get("canaryWeight", 0) >= 10, 40, "the first step again")
    pressed(app, "promote")
    app.phase("Succeeded", seconds=40)
    assert app.primary_image() == app.image("1.0.1")


def test_replicas_that_argo_cd_sets_again_and_again_disturb_no_release_and_no_request(app: Stage, argo: Argo) -> None:
    """P-11."""
    argo.publish(app.namespace, app.deployment(replicas=2), app.canary())
    app.phase("Initialized", seconds=60)
    until(lambda: app.replicas() == 2, 30, "Argo CD to set the size again")
    with app.load() as load, Watching(app) as watching:
        argo.publish(app.namespace, app.deployment("1.0.1", replicas=2), app.canary())
        app.phase("Succeeded", seconds=60)
        watching.fight(NAMED, RULE)
        assert watching.writes(10) == 0, "neither side writes any more"
    assert load.result["lost"] == 0, load.result
    watching.one_run_without_a_jump()
    assert app.primary_image() == app.image("1.0.1")
    assert judged(app).status == "Healthy"


def test_a_canary_that_is_pruned_in_mid_run_leaves_what_serves(app: Stage, argo: Argo) -> None:
    """Argo CD prunes in the foreground by default: the primary goes at once, whatever anybody wants. What is left must serve."""
    canary = app.canary(revertOnDeletion=True)
    argo.publish(app.namespace, bare(app.deployment()), canary)
    app.phase("Initialized", seconds=60)
    argo.publish(app.namespace, bare(app.deployment("1.0.1")), canary)
    app.until_status(lambda status: status.get("canaryWeight", 0) >= 20, 40, "the first step")
    argo.publish(app.namespace, bare(app.deployment("1.0.1")))
    until(lambda: app.kube.find("Canary", app.name, app.namespace) is None, 60, "the Canary to be gone")

    def serves() -> bool:
        target = app.kube.get("Deployment", app.name, app.namespace)
        return bool(target["status"].get("readyReplicas", 0) >= 1)

    until(serves, 40, "the target to serve")
    assert app.kube.find("Deployment", f"{app.name}-primary", app.namespace) is None


def test_a_service_in_git_is_put_right_and_the_fight_is_named(app: Stage, argo: Argo) -> None:
    canary = app.canary(provider="kubernetes", analysis=BLUE_GREEN)
    argo.publish(app.namespace, bare(app.deployment()), service(app), canary)
    app.phase("Initialized", seconds=60)
    with Watching(app) as watching:
        argo.publish(app.namespace, bare(app.deployment("1.0.1")), service(app), canary)
        app.phase("Succeeded", seconds=60)
        watching.fight(NAMED, "jsonPointers: [/spec/selector]", 60)
        syncs = argo.syncs()
        until(lambda: argo.syncs() >= syncs + 2, 60, "two more syncs")
    assert len(set(watching.runs)) == 1
    assert len(watching.strays) >= 2
    assert max(watching.strays) < 3, watching.strays


def test_the_manifests_of_the_page_are_taken(argo: Argo, stage: Stage) -> None:
    shown = Stage(stage.kube, stage.sandbox, stage.namespace, page.NAME)
    image = f"{shown.sandbox.registry}/podinfo:1.0.0"
    argo.publish(shown.namespace, *page.application(image, shown.namespace))
    shown.kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "argocd"}})
    for crd in sorted((part_dir(part_named("argo-judge")) / "crds").glob("*.yaml")):
        shown.sandbox.apply(crd)
    until_established(shown.kube, "applications.argoproj.io")
    shown.sandbox.run("kubectl", "create", "-f", "-", stdin=yaml.safe_dump(page.of("argoproj.io/v1alpha1")))
    shown.sandbox.run("kubectl", "-n", "argocd", "create", "configmap", "argocd-cm", "--from-literal=url=https://argocd.example.com")
    shown.sandbox.run(*page.command("kubectl -n argocd patch"))
    data = shown.kube.get("ConfigMap", "argocd-cm", "argocd")["data"]
    assert data == {"url": "https://argocd.example.com", **settings()}
    shown.phase("Initialized", seconds=60)
    assert judged(shown).status == "Healthy"
    argo.publish(shown.namespace)


@pytest.mark.parametrize("how", ["not in Git", "without a selector", "with the primary's selector"])
def test_services_that_are_kept_as_the_page_says_are_no_fight(app: Stage, argo: Argo, how: str) -> None:
    canary = app.canary(provider="kubernetes", analysis=BLUE_GREEN)
    kept = {
        "not in Git": [],
        "without a selector": [service(app, selector=None)],
        "with the primary's selector": [service(app, selector={"app": f"{app.name}-primary"})],
    }[how]
    argo.publish(app.namespace, bare(app.deployment()), *kept, canary)
    app.phase("Initialized", seconds=60)
    with Watching(app) as watching:
        argo.publish(app.namespace, bare(app.deployment("1.0.1")), *kept, canary)
        app.phase("Succeeded", seconds=60)
        syncs = argo.syncs()
        until(lambda: argo.syncs() >= syncs + 1, 60, "one more sync")
    assert watching.selectors == [{"app": f"{app.name}-primary"}]
    assert app.condition("Conflict") == {}
