"""Flux's real kustomize-controller beside releases: what it waits for, what it says of a failed one, and its fight over replicas."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from e2e.core.stage import Stage
from e2e.gitops import page
from e2e.gitops.flux import KUSTOMIZATION, MANAGER, Flux
from e2e.gitops.watching import Watching
from e2e.kube import Object, until

FLUX = {"kustomize.toolkit.fluxcd.io/reconcile": "disabled"}


@pytest.fixture
def app(stage: Stage, flux: Flux) -> Iterator[Stage]:
    """The application as Flux has it in Git; nothing is applied yet."""
    yield stage
    flux.leave(stage.namespace)


def in_git(stage: Stage, tag: str, *, replicas: int | None = None, **canary: Any) -> list[Object]:
    """As docs/gitops.md has it: without a size, and with a Canary that says what is released."""
    deployment = stage.deployment(tag)
    deployment["spec"] |= {"replicas": replicas}
    if replicas is None:
        del deployment["spec"]["replicas"]
    return [deployment, stage.canary(release=tag, **canary)]


def healthy(flux: Flux, stage: Stage, revision: str, seconds: float = 60) -> None:
    until(lambda: flux.ready(stage.namespace, revision), seconds, f"the Kustomization to be Ready at {revision}", lambda: told(flux, stage))


def told(flux: Flux, stage: Stage) -> str:
    there = stage.kube.find("Canary", stage.name, stage.namespace)
    return f"{flux.status(stage.namespace)}\n{stage.story() if there else 'no Canary'}\n{flux.tail(10)}"


def test_flux_waits_for_the_end_of_a_release_and_names_why_one_failed(app: Stage, flux: Flux) -> None:
    first = flux.publish(app.namespace, *in_git(app, "1.0.0"))
    flux.follow(app.namespace)
    healthy(flux, app, first)
    assert app.status()["phase"] == "Initialized"

    good = flux.publish(app.namespace, *in_git(app, "1.0.1"))
    healthy(flux, app, good)
    assert (app.status()["phase"], app.primary_image()) == ("Succeeded", app.image("1.0.1")), told(flux, app)

    bad = flux.publish(app.namespace, *in_git(app, "9.9.9"))

    def refused() -> bool:
        ready = flux.condition(app.namespace)
        return ready.get("status") == "False" and ready.get("reason") == "HealthCheckFailed"

    until(refused, 60, "the Kustomization to fail", lambda: told(flux, app))
    message = flux.condition(app.namespace)["message"]
    assert f"Canary/{app.namespace}/{app.name}" in message
    assert flux.status(app.namespace)["lastAttemptedRevision"] == bad
    assert flux.status(app.namespace)["lastAppliedRevision"] == good

    mended = flux.publish(app.namespace, *in_git(app, "1.0.2"))
    healthy(flux, app, mended)
    assert (app.status()["phase"], app.primary_image()) == ("Succeeded", app.image("1.0.2"))


def test_replicas_that_flux_sets_again_and_again_disturb_no_release_and_no_request(app: Stage, flux: Flux) -> None:
    """P-11."""
    first = flux.publish(app.namespace, *in_git(app, "1.0.0", replicas=2))
    flux.follow(app.namespace)
    healthy(flux, app, first)
    until(lambda: app.replicas() == 2, 20, "Flux to set the size again")
    with app.load() as load, Watching(app) as watching:
        second = flux.publish(app.namespace, *in_git(app, "1.0.1", replicas=2))
        app.phase("Succeeded", seconds=60)
        healthy(flux, app, second)
        watching.fight(MANAGER, "leave spec.replicas out of Git")
        assert watching.writes(10) == 0, "neither side writes any more"
    assert load.result["lost"] == 0, load.result
    watching.one_run_without_a_jump()
    assert app.primary_image() == app.image("1.0.1")


def test_a_release_is_not_called_ready_before_it_has_begun(app: Stage, flux: Flux) -> None:
    """A target at 0 replicas is Current right after its change: by `spec.release` Flux knows that the Canary is not."""
    flux.publish(app.namespace, *in_git(app, "1.0.0", skipAnalysis=True))
    flux.follow(app.namespace, interval="1h")
    early = []
    for number in range(1, 6):
        image = f"1.0.{number % 3}"
        revision = flux.publish(app.namespace, *in_git(app, image, skipAnalysis=True))
        healthy(flux, app, revision)
        if app.primary_image() != app.image(image):
            early.append(number)
            until(lambda image=image: app.primary_image() == app.image(image), 30, image, app.story)  # type: ignore[misc]
            app.phase("Succeeded", "Initialized", seconds=30)
        time.sleep(0.5)
    assert not early


def test_the_manifests_of_the_page_wait_with_a_release_that_kustomize_fills_in(flux: Flux, stage: Stage) -> None:
    shown = Stage(stage.kube, stage.sandbox, stage.namespace, page.NAME)
    images = [f"{shown.sandbox.registry}/podinfo:{tag}" for tag in ("1.0.0", "1.0.1")]
    spec = page.of(KUSTOMIZATION)["spec"]
    assert spec.pop("sourceRef") == {"kind": "GitRepository", "name": page.NAME}
    first = flux.publish(shown.namespace, *page.application(images[0], shown.namespace), kustomization=page.of(page.KUSTOMIZE))
    flux.follow(shown.namespace, **spec)
    healthy(flux, shown, first)
    assert shown.get()["spec"]["release"] == images[0]
    second = flux.publish(shown.namespace, *page.application(images[1], shown.namespace), kustomization=page.of(page.KUSTOMIZE))
    healthy(flux, shown, second)
    assert (shown.status()["phase"], shown.primary_image()) == ("Succeeded", images[1])
    flux.leave(shown.namespace)


def test_services_are_left_alone_by_flux(app: Stage, flux: Flux) -> None:
    """One in Git that a Canary has taken over keeps leading to the primary, without any rule."""
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": app.name, "namespace": app.namespace},
        "spec": {"selector": {"app": app.name}, "ports": [{"name": "http", "port": 9898, "targetPort": 9898}]},
    }
    how: Object = {"provider": "kubernetes", "analysis": {"interval": "2s", "threshold": 2, "iterations": 2}}
    first = flux.publish(app.namespace, service, *in_git(app, "1.0.0", **how))
    flux.follow(app.namespace, interval="2s")
    healthy(flux, app, first)
    with Watching(app) as watching:
        second = flux.publish(app.namespace, service, *in_git(app, "1.0.1", **how))
        healthy(flux, app, second)
        assert app.primary_image() == app.image("1.0.1")
    assert watching.selectors == [{"app": f"{app.name}-primary"}]
    live = app.kube.get("Service", app.name, app.namespace)
    assert live["metadata"]["annotations"].items() >= FLUX.items()
    assert app.condition("Conflict") == {}
