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
from e2e.kube import Object, until
from e2e.sandbox.console import say

TITLE = "A Deployment comes under a Canary, and goes again"
METHOD = (
    "Two real pods a side, 200 requests/s through Envoy. First a Deployment that serves by a Service and an HTTPRoute of its user's: the"
    " Canary is applied, and when it is Initialized and the target at 0 it is deleted, with `revertOnDeletion`. Then a Deployment whose"
    " Service and HTTPRoute the Canary made. Requests lost from the Canary's application until 10 s after the target is at 0, and from"
    " its deletion until 15 s after it is gone; and the seconds until it is gone."
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


def adopt(app: App) -> float:
    """Applies the Canary; when the target was at 0 (epoch seconds)."""
    app.kube.apply(
        releases.canary(app.name, app.host, analysis=STEPS, revertOnDeletion=True), namespace=app.namespace
    )
    until(lambda: app.phase() == "Initialized", START_SECONDS, f"{app.name} of {app.controller.name} initialized", app.canary)
    until(lambda: app.kube.get("Deployment", app.name, app.namespace)["spec"]["replicas"] == 0, 60, "the target at 0")
    return time.time()


def leave(app: App) -> float | None:
    """Deletes the Canary; the seconds until it was gone, None when it stayed."""
    began = time.time()
    app.kube.delete("Canary", app.name, app.namespace)
    try:
        until(lambda: app.kube.find("Canary", app.name, app.namespace) is None, GONE_SECONDS, "the Canary to go")
    except AssertionError:
        return None
    return time.time() - began


def one(rig: Rig, side: Controller, *, users: bool) -> list[Measured]:
    told = "of its user's" if users else "of the Canary's"
    limit = 0.0 if side.name == OURS else None
    found: list[Measured] = []
    with applied(rig, side, "coming" if users else "coming-bare", users=users) as app:
        if users:
            serves(app)
            with load.Load(app.sandbox, app.host, RATE) as traffic:
                time.sleep(3)
                adopt(app)
                time.sleep(AFTER_ADOPTION)
            found.append(
                Measured(side.name, f"adoption, Service and route {told}: requests lost", "", float(traffic.lost),
                         note=f"of {traffic.sent:,} sent", limit=limit)
            )  # fmt: skip
            say(f"  {side.name}: adoption: {traffic.lost} of {traffic.sent} lost {traffic.errors}")
        else:
            adopt(app)
            serves(app)
        with load.Load(app.sandbox, app.host, RATE) as traffic:
            time.sleep(3)
            gone = leave(app)
            time.sleep(AFTER_DELETION)
        what, note = f"deletion, Service and route {told}", f"of {traffic.sent:,} sent"
        found.append(Measured(side.name, f"{what}: requests lost", "", float(traffic.lost), note=note, limit=limit))
        found.append(Measured(side.name, f"{what}: until it is gone", "s", gone))
        say(f"  {side.name}: deletion: {traffic.lost} of {traffic.sent} lost {traffic.errors}, gone after {gone}")
    return found


def run(rig: Rig) -> list[Measured]:
    return [measured for users in (True, False) for side in rig.sides for measured in one(rig, side, users=users)]
