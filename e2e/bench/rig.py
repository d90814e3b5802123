"""The two controllers in one cluster, and releases for them: what every scenario stands on."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx

from e2e import releases
from e2e.bench import controllers
from e2e.bench.controllers import Controller
from e2e.core.controllers import install_crds
from e2e.kube import Kube, Object, until
from e2e.recorder import Recorder
from e2e.sandbox import Sandbox
from e2e.sandbox.console import say

if TYPE_CHECKING:
    from e2e.bench.fleet import Fleet

INTERVAL = "10s"
"""Flagger takes any shorter interval for this one."""
STEPS: Object = {"interval": INTERVAL, "threshold": 5, "stepWeight": 20, "maxWeight": 60}
START_SECONDS = 180.0


@dataclass
class App:
    """One target with its Canary, of one controller."""

    kube: Kube
    sandbox: Sandbox
    controller: Controller
    name: str

    @property
    def namespace(self) -> str:
        return self.controller.namespace

    @property
    def host(self) -> str:
        return f"{self.name}.{self.namespace}.example.com"

    def image(self, tag: str, app: str = "toggle") -> str:
        return f"{self.sandbox.registry}/{app}:{tag}"

    def start(self, analysis: Object, deadline: int, replicas: int = 2) -> None:
        template = releases.pod_template(self.name, self.image("1.0.0"))
        self.kube.apply(
            releases.deployment(self.name, template, replicas),
            releases.canary(self.name, self.host, analysis=analysis, deadline=deadline),
            namespace=self.namespace,
        )
        until(lambda: self.phase() == "Initialized", START_SECONDS, f"{self.name} of {self.controller.name} initialized", self.canary)

    def release(self, template: Object) -> float:
        """Changes the pod template as a user's pipeline would; returns when the API server had it (epoch seconds)."""
        self.kube.patch("Deployment", self.name, {"spec": {"template": template}}, self.namespace)
        return time.time()

    def canary(self) -> Object:
        return self.kube.get("Canary", self.name, self.namespace)

    def phase(self) -> str:
        return releases.phase(self.canary())

    def pods(self) -> list[Object]:
        """The canary's pods that are not ending."""
        found = self.kube.items("Pod", self.namespace, f"app={self.name}")
        return [pod for pod in found if not pod["metadata"].get("deletionTimestamp")]

    def delete(self) -> None:
        for kind in ("Canary", "Deployment"):
            self.kube.delete(kind, self.name, self.namespace)


@dataclass
class Records:
    """What was seen of one app: the Canaries, routes and pods of its namespace, its own among them."""

    name: str
    canaries: Recorder
    routes: Recorder
    pods: Recorder

    def wait(self, phases: tuple[str, ...], seconds: float, since: float) -> tuple[float, Object] | None:
        """When the Canary was first in one of the phases after `since`; None when not within `seconds`."""
        found = self.canaries.wait(lambda seen: seen.name == self.name and releases.phase(seen.obj) in phases, seconds, since)
        return (found.at, found.obj) if found else None


@dataclass
class Rig:
    """The cluster, both controllers, and how thorough to be."""

    sandbox: Sandbox
    kube: Kube
    sides: tuple[Controller, ...]
    quick: bool = False
    _fleet: list[Fleet] = field(default_factory=list)

    @contextmanager
    def app(self, side: Controller, name: str, *, analysis: Object = STEPS, deadline: int = 60) -> Iterator[App]:
        """An initialised app, taken away at the end."""
        app = App(self.kube, self.sandbox, side, name)
        try:
            say(f"  {side.name}: {name} is being initialised")
            app.start(analysis, deadline)
            yield app
        finally:
            app.delete()

    @contextmanager
    def records(self, app: App) -> Iterator[Records]:
        canaries = Recorder(self.kube, "Canary", app.namespace)
        routes = Recorder(self.kube, "HTTPRoute", app.namespace)
        pods = Recorder(self.kube, "Pod", app.namespace)
        with canaries, routes, pods:
            yield Records(app.name, canaries, routes, pods)

    def queries(self) -> float:
        """Instant queries that Prometheus has answered so far."""
        text = httpx.get(f"{self.sandbox.prometheus_url}/metrics", timeout=10, trust_env=False).text
        counts = re.findall(r'^prometheus_http_requests_total\{[^}]*handler="/api/v1/query"[^}]*\} (\S+)', text, re.MULTILINE)
        return sum(float(count) for count in counts)

    def fleet(self) -> Fleet:
        """Many Canaries with pods that are only pretended: made when first asked for."""
        from e2e.bench.fleet import Fleet

        if not self._fleet:
            self._fleet.append(Fleet(self.kube, self.sides))
        return self._fleet[0]

    def dismiss_fleet(self) -> None:
        while self._fleet:
            self._fleet.pop().delete()


@contextmanager
def rig(sandbox: Sandbox, quick: bool) -> Iterator[Rig]:
    """Both controllers, installed and serving, each in a namespace of its own; stopped at the end."""
    kube = Kube(sandbox.kubeconfig, timeout=60.0)
    install_crds(kube)
    for namespace in ("bench-ours", "bench-theirs"):
        kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    sides = (controllers.flaggerpy(sandbox, kube, "bench-ours"), controllers.flagger(sandbox, kube, "bench-theirs"))
    try:
        for side in sides:
            say(f"  starting {side.name}")
            side.start()
        yield Rig(sandbox, kube, sides, quick)
    finally:
        for side in sides:
            side.stop()
