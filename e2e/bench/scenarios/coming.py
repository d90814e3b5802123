"""What visitors lose when a running Deployment is put under a Canary, and when it is taken off again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from e2e import releases
from e2e.bench import load
from e2e.bench.controllers import Controller
from e2e.bench.figures import OURS, Measured
from e2e.bench.rig import START_SECONDS, STEPS, App, Rig
from e2e.kube import Object, told_at, until
from e2e.sandbox.console import say

TITLE = "A Deployment comes under a Canary, and goes again"
METHOD = (
    "Two real pods a side, 200 requests/s through Envoy. First a Deployment that serves by a Service and an HTTPRoute of its user's: the"
    " Canary is applied, and when it is Initialized and the target at 0 it is deleted, with `revertOnDeletion`. Then a Deployment whose"
    " Service and HTTPRoute the Canary made, deleted with `revertOnDeletion` and without: then nothing serves by design, and what counts is"
    " whether a Warning says so. Requests lost from the Canary's application until 10 s after the target is at 0, and from its deletion"
    " until 15 s after it is gone; and the seconds until it is gone."
)
RATE = 200.0
AFTER_ADOPTION = 10.0
AFTER_DELETION = 15.0
GONE_SECONDS = 150.0


def users_objects(app: App) -> list[Object]:
    """The Service and the HTTPRoute by which a target serves before it has a Canary."""
    service = {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": app.name},
        "spec": {"selector": {"app": app.name}, "ports": [{"name": "http", "port": 80, "targetPort": releases.PORT}]},
    }  # fmt: skip
    route = {
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": app.name},
        "spec": {
            "parentRefs": [{"name": "contour", "namespace": "projectcontour"}], "hostnames": [app.host],
            "rules": [{"backendRefs": [{"name": app.name, "port": 80}]}],
        },
    }  # fmt: skip
    return [service, route]


@contextmanager
def applied(rig: Rig, side: Controller, name: str, *, users: bool) -> Iterator[App]:
    """A Deployment without a Canary, with its user's Service and route or without; all goes at the end."""
    app = App(rig.kube, rig.sandbox, side, name)
    try:
        template = releases.pod_template(name, app.image("1.0.0"))
        rig.kube.apply(releases.deployment(name, template), *(users_objects(app) if users else ()), namespace=app.namespace)
        yield app
    finally:
        for kind in ("Canary", "Deployment", "Service", "HTTPRoute"):
            rig.kube.delete(kind, name, app.namespace)


def serves(app: App) -> None:
    """Wait until a request through the gateway is answered."""

    def answered() -> bool:
        try:
            return httpx.get(f"{app.sandbox.gateway_url}/", headers={"Host": app.host}, timeout=2, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    until(answered, 60, f"{app.name} of {app.controller.name} to serve")


def adopt(app: App, *, revert: bool = True) -> None:
    """Applies the Canary; returns when the target is at 0."""
    app.kube.apply(releases.canary(app.name, app.host, analysis=STEPS, revertOnDeletion=revert), namespace=app.namespace)
    until(lambda: app.phase() == "Initialized", START_SECONDS, f"{app.name} of {app.controller.name} initialized", app.canary)
    until(lambda: app.kube.get("Deployment", app.name, app.namespace)["spec"]["replicas"] == 0, 60, "the target at 0")


def leave(app: App) -> float | None:
    """Deletes the Canary; the seconds until it was gone, None when it stayed."""
    began = time.time()
    app.kube.delete("Canary", app.name, app.namespace)
    try:
        until(lambda: app.kube.find("Canary", app.name, app.namespace) is None, GONE_SECONDS, "the Canary to go")
    except AssertionError:
        return None
    return time.time() - began


def coming(app: App, told: str) -> Measured:
    """A Deployment that serves comes under a Canary."""
    serves(app)
    with load.Load(app.sandbox, app.host, RATE) as traffic:
        time.sleep(3)
        adopt(app)
        time.sleep(AFTER_ADOPTION)
    say(f"  {app.controller.name}: adoption: {traffic.lost} of {traffic.sent} lost {traffic.errors}")
    return lost(app, f"adoption, {told}", traffic, limit=0.0)


def going(app: App, what: str, *, limit: float | None = 0.0) -> list[Measured]:
    """Its Canary is deleted."""
    with load.Load(app.sandbox, app.host, RATE) as traffic:
        time.sleep(3)
        began = time.time()
        gone = leave(app)
        time.sleep(AFTER_DELETION)
    said = warned(app, began)
    say(f"  {app.controller.name}: deletion: {traffic.lost} of {traffic.sent} lost {traffic.errors}, gone after {gone}, said {said}")
    ended = Measured(app.controller.name, f"{what}: until it is gone", "s", gone, note="" if gone else f"not within {GONE_SECONDS:g} s")
    return [lost(app, what, traffic, limit=limit, said=said), ended]


def warned(app: App, since: float) -> list[str]:
    """The Warnings about the Deployment or its Canary that were told since then (epoch seconds)."""
    events = [event for event in app.kube.events(app.namespace, app.name) if event.get("type") == "Warning"]
    return [event["message"] for event in events if told_at(event) >= int(since)]


def lost(app: App, what: str, traffic: load.Load, *, limit: float | None, said: list[str] | None = None) -> Measured:
    note = f"of {traffic.sent:,} sent"
    if limit is None:
        note += ", a Warning says so" if any("nothing serves" in text for text in said or ()) else ", no Warning"
    ours = app.controller.name == OURS
    return Measured(app.controller.name, f"{what}: requests lost", "", float(traffic.lost), note=note, limit=limit if ours else None)


def users(rig: Rig, side: Controller) -> list[Measured]:
    told = "Service and route of its user's"
    with applied(rig, side, "coming", users=True) as app:
        return [coming(app, told), *going(app, f"deletion, {told}")]


def made(rig: Rig, side: Controller) -> list[Measured]:
    with applied(rig, side, "coming-bare", users=False) as app:
        adopt(app)
        serves(app)
        return going(app, "deletion, Service and route of the Canary's")


def without_revert(rig: Rig, side: Controller) -> list[Measured]:
    with applied(rig, side, "coming-away", users=False) as app:
        adopt(app, revert=False)
        serves(app)
        return going(app, "deletion without revertOnDeletion", limit=None)


def run(rig: Rig) -> list[Measured]:
    return [measured for story in (users, made, without_revert) for side in rig.sides for measured in story(rig, side)]
